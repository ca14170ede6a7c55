import { runService } from '@shop/service-kit/process'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'

await runService({ name: 'gateway', schema: configSchema, build: buildApp })
