/** Whether the shop is open, as a shopper sees it, and what can be bought there. */
const openTimeoutMs = 60_000

/** Open means that a shopper gets an answer: the gateway is ready, and it has found every service it sends requests to. */
export async function untilOpen(url: string, signal: AbortSignal): Promise<void> {
  const deadlineMs = Date.now() + openTimeoutMs
  const paths = ['/health/ready', '/api/products?limit=1', '/api/cart']
  for (;;) {
    const answers = await Promise.all(paths.map((path) => answerOf(url + path)))
    if (answers.every((answer) => answer === '200')) return
    signal.throwIfAborted()
    if (Date.now() > deadlineMs) {
      const seen = paths.map((path, i) => `GET ${path} answers ${answers[i]}`).join(', ')
      throw new Error(`The shop did not open within ${openTimeoutMs / 1_000} s: ${seen}. See the logs of the services.`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function answerOf(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) })
    const { code } = response.ok ? {} : ((await response.json()) as { code?: string })
    return code === undefined ? String(response.status) : `${response.status} ${code}`
  } catch (error) {
    return (error as Error & { cause?: { code?: string } }).cause?.code ?? (error as Error).name
  }
}

export async function productInStock(url: string): Promise<string> {
  const response = await fetch(`${url}/api/products?limit=100`)
  const { items } = (await response.json()) as { items: { sku: string; stockCount: number }[] }
  return (items.find(({ stockCount }) => stockCount >= 10) ?? items[0])?.sku ?? 'NONE'
}
