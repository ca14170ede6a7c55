/** Which services the demo runs, and how many of each. */

/** Two wherever two replicas could disturb each other. The gateway comes last. */
export const instances = { catalog: 2, user: 1, order: 2, gateway: 1 } as const

export type App = keyof typeof instances

export interface Instance {
  /** `catalog-2`; the app's name where there is only one. */
  name: string
  app: App
}

export const allInstances: readonly Instance[] = Object.entries(instances).flatMap(([app, count]) =>
  Array.from({ length: count }, (_, index) => ({
    name: count === 1 ? app : `${app}-${index + 1}`,
    app: app as App,
  })),
)

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
