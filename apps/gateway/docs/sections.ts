/** The sections of /docs, in the order in which a newcomer needs them. */

import type { Json } from '@shop/service-kit/http/openapi'
import { identityErrors } from '@shop/service-kit/identity'

const administration = 'Administration'

const sections = [
  {
    name: 'Accounts and sessions',
    description: 'Create an account, sign in, list and end sessions',
    prefixes: ['/api/users', '/api/sessions'],
  },
  { name: 'Products', description: 'Browse and search', prefixes: ['/api/products', '/api/categories'] },
  { name: 'Cart', description: 'Guests have a cart too; signing in keeps it', prefixes: ['/api/cart'] },
  { name: 'Orders', description: 'Order, follow, cancel', prefixes: ['/api/orders'] },
  { name: administration, description: 'For administrators', prefixes: ['/api/api-keys', '/api/console'] },
  { name: 'Health', description: 'For orchestrators', prefixes: ['/health'] },
]
const prefixes = sections.flatMap((section) => section.prefixes)

export const tags = sections.map(({ name, description }) => ({ name, description }))

/** The tag of an operation: its section by path, unless only administrators may call it. */
export function sectionOf(path: string, { responses }: Json): string {
  const isAdminOnly = responses?.[403]?.description?.includes(`\`${identityErrors.adminOnly.code}\``)
  if (isAdminOnly) return administration
  return sections.find((section) => section.prefixes.some((prefix) => path.startsWith(prefix)))?.name ?? administration
}

/** Sorts paths as the sections come; within a prefix by name. */
export function comparePaths(a: string, b: string): number {
  return rank(a) - rank(b) || (a < b ? -1 : 1)
}

/** A path without a section comes last. */
function rank(path: string): number {
  const index = prefixes.findIndex((prefix) => path.startsWith(prefix))
  return index === -1 ? prefixes.length : index
}
