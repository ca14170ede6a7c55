/** A test file's side of vitest-setup.ts: asks for a server of this run, and registers what a test leaves to clean up. */
import { afterAll, inject, onTestFinished, TestRunner } from 'vitest'

/** Resolves to the URL of this run's server, which is started if nobody has asked before. */
export async function serverUrl(kind: 'redis' | 'cluster' | 'postgres'): Promise<string> {
  return ask(kind)
}

/** Resolves to the name of a database to copy: one with this service's migrations applied. */
export async function templateName(service: string): Promise<string> {
  return ask(`template/${service}`)
}

/** Is a test running, its beforeEach included? Otherwise the file is being read, or a beforeAll runs. */
export function isInTest(): boolean {
  return TestRunner.getCurrentTest() !== undefined
}

/** Runs after the test, its afterEach included; or after the file's last one when called outside of a test. */
export function afterwards(cleanup: () => Promise<void>): void {
  if (isInTest()) onTestFinished(cleanup)
  else afterAll(cleanup)
}

async function ask(wish: string): Promise<string> {
  const base = inject('testServersUrl')
  if (!base) throw new Error("add libs/test-kit/vitest-setup.ts to vitest's globalSetup")
  const response = await fetch(`${base}/${wish}`)
  const answer = await response.text()
  if (!response.ok) throw new Error(`no ${wish} for the tests: ${answer}`)
  return answer
}
