/** What checkout asks of the catalog. */
import { identityHeader } from '@shop/contracts/identity'
import { Quote } from '@shop/contracts/product'
import { isGatewayFailure, type ServiceClient, ServiceUnavailable } from '@shop/service-kit/call/client'
import { createCheck } from '@shop/service-kit/http/validation'

const deadlineMs = 2_000
const checkQuote = createCheck(Quote)

export interface Caller {
  /** The identity token of the request that asks; the catalog answers nobody without one. */
  token: string
  requestId: string
}

export function createCatalog(client: ServiceClient) {
  return { quote }

  /** Today's prices; products that are not sold any more are left out. Throws ServiceUnavailable. */
  async function quote(skus: readonly string[], { token, requestId }: Caller): Promise<Quote> {
    const query = new URLSearchParams(skus.map((sku) => ['sku', sku]))
    const response = await client.request({
      service: 'catalog',
      method: 'GET',
      path: `/api/products/quote?${query}`,
      headers: { [identityHeader]: token, 'x-request-id': requestId },
      deadlineMs,
    })
    if (isGatewayFailure(response.status)) throw new ServiceUnavailable('catalog', 'failing', { wasSent: true })
    if (response.status !== 200) throw new Error(`the catalog answered ${response.status} when asked for prices`)
    const answer: unknown = JSON.parse(response.body.toString('utf8'))
    const [problem] = checkQuote(answer)
    if (problem) throw new Error(`the catalog did not answer with a quote: ${problem.path} ${problem.message}`)
    return answer as Quote
  }
}

export type Catalog = ReturnType<typeof createCatalog>
