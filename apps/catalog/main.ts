// What follows the first line is compiled once and cached: hence the dynamic imports.
import '@shop/service-kit/process/compile-cache'

const { runService } = await import('@shop/service-kit/process')
const { configSchema } = await import('./config.ts')
const { buildApp } = await import('./app.ts')

await runService({ name: 'catalog', schema: configSchema, build: buildApp })
