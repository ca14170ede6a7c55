import { runService } from '@shop/service-kit/process'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'

await runService({ name: 'catalog', schema: configSchema, build: buildApp })
