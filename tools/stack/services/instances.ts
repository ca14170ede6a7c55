/** The processes that the demo runs, from the list of services. */
import { type ServiceName, serviceNames, services } from '@shop/contracts/services'

export interface Instance {
  /** `catalog-2`; the app's name where there is only one. */
  name: string
  app: ServiceName
}

export const allInstances: readonly Instance[] = serviceNames.flatMap((app) => {
  const { instances } = services[app]
  return Array.from({ length: instances }, (_, index) => ({
    name: instances === 1 ? app : `${app}-${index + 1}`,
    app,
  }))
})

/** A name that no service and no instance has. */
export class UnknownService extends Error {
  readonly code = 'UNKNOWN_SERVICE'
  constructor(name: string, option: string) {
    const names = [...new Set(allInstances.flatMap((instance) => [instance.app, instance.name]))]
    super(`${option} names a service "${name}", which does not exist: use one of ${names.join(', ')}.`)
    this.name = 'UnknownService'
  }
}

/** All instances of a service, or the one instance. Throws UnknownService. */
export function findInstances(name: string, option: string): readonly Instance[] {
  const found = allInstances.filter((instance) => instance.name === name || instance.app === name)
  if (found.length === 0) throw new UnknownService(name, option)
  return found
}
