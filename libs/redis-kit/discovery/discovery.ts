/**
 * Which instances of a service are alive, and where. Three scripts over three keys per service, all in one slot:
 *
 *     expiry   zset    id -> the moment its last beat runs out, by the server's clock (never an instance's)
 *     records  hash    id -> "<incarnation> <json>"
 *     rev      string  counts the changes; each is told on the channel `changes` with its number
 *
 * `createRegistry` (registry.ts) runs the scripts. `createRegistration` (registration.ts) is the side of one instance,
 * `createDirectory` (directory.ts) the side of its callers.
 */
export { createDirectory, type Directory, type DirectoryOptions } from './directory.ts'
export type { Instance } from './instance.ts'
export { createRegistration, type FenceReason, type Registration, type RegistrationOptions } from './registration.ts'
export {
  type Beat,
  createRegistry,
  type DiscoveryKeys,
  discoveryKeys,
  type Listing,
  type Registry,
  type RegistryOptions,
} from './registry.ts'
