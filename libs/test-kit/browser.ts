/** What a browser is to a shop: keeps cookies, speaks JSON, knows only the public URL. For end-to-end tests and load tools. */

export interface Answer<Body> {
  status: number
  headers: Headers
  /** The parsed JSON, or undefined when the answer is something else. */
  body: Body
  text: string
}

export interface RequestOptions {
  /** Sent as JSON; a string is sent as it is. */
  body?: unknown
  headers?: Record<string, string>
}

export interface BrowserOptions {
  /** The longest wait for one answer. @default 10_000 */
  timeoutMs?: number
}

export type Browser = ReturnType<typeof createBrowser>

/**
 * Every verb resolves with the answer, whatever its status, and rejects when there is no answer within the deadline.
 * @param url of the shop; a function when the shop may move to another port
 */
export function createBrowser(url: string | (() => string), { timeoutMs = 10_000 }: BrowserOptions = {}) {
  const cookies = new Map<string, string>()
  return {
    cookies,
    cookieHeader,
    send,
    get: <Body>(path: string, headers?: Record<string, string>) => send<Body>('GET', path, { headers }),
    post: <Body>(path: string, body: unknown, headers?: Record<string, string>) =>
      send<Body>('POST', path, { body, headers }),
    put: <Body>(path: string, body: unknown) => send<Body>('PUT', path, { body }),
    delete: <Body>(path: string) => send<Body>('DELETE', path),
  }

  async function send<Body>(
    method: string,
    path: string,
    { body, headers }: RequestOptions = {},
  ): Promise<Answer<Body>> {
    const shop = typeof url === 'string' ? url : url()
    const response = await fetch(shop + path, {
      method,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        ...cookieHeader(),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    remember(response.headers.getSetCookie())
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: parse(text) as Body, text }
  }

  function cookieHeader(): { cookie?: string } {
    return cookies.size > 0 ? { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') } : {}
  }

  function remember(lines: string[]) {
    for (const line of lines) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (name === undefined || value === undefined) continue
      if (value === '' || /max-age=0/i.test(line)) cookies.delete(name)
      else cookies.set(name, value)
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
