/** The keys of the registry: every service registers itself there, and may look for the others. */
import { serviceNames } from '@shop/contracts/services'
import { discoveryKeys } from '@shop/redis-kit/discovery'

export const registryKeys = discoveryKeys('registry', Object.fromEntries(serviceNames.map((name) => [name, 'write'])))
