/** The services that register themselves and find each other. */
export const serviceNames = ['gateway', 'catalog', 'user', 'order'] as const
export type ServiceName = (typeof serviceNames)[number]
