/**
 * Where a service has to be named, and is not. What can be made from the list of services is made from it; the rest is found here, so
 * that a new service is complete when this finds nothing.
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ServiceDeclaration } from '@shop/contracts/services'
import { missingInFolder } from './app-files.fixture.ts'
import { missingInCompose, strangersInCompose } from './compose.fixture.ts'
import { missingInGateway } from './gateway.fixture.ts'

export interface Lists {
  services: Readonly<Record<string, ServiceDeclaration>>
  topics: Readonly<Record<string, { service: string; sharedWith: Readonly<Record<string, string>> }>>
}

/** Each forgotten place as `<file>: <what to add>`; empty when a service is complete. */
export async function forgottenPlaces(root: string, { services, topics }: Lists): Promise<string[]> {
  const names = Object.keys(services)
  const internal = names.filter((name) => !services[name]?.isPublic)
  const ofServices = Object.entries(services).map(async ([name, entry]) => [
    ...(await missingInFolder(root, name, entry)),
    ...(entry.isPublic ? [] : await missingInGateway(root, name)),
    ...missingInCompose(root, name, entry, internal),
    ...missingReaders(root, name, topics),
    ...missingOnPages(root, name),
  ])
  return [...undeclared(root, names), ...strangersInCompose(root, names), ...(await Promise.all(ofServices)).flat()]
}

/** A folder with a process that is not in the list. */
function undeclared(root: string, names: readonly string[]): string[] {
  return globSync('apps/*/main.ts', { cwd: root })
    .map((file) => dirname(file).slice('apps/'.length))
    .filter((name) => !names.includes(name))
    .map((name) => `libs/contracts/services.ts: declare ${name}, which has apps/${name}/main.ts`)
}

/** A topic that a service names in its code is its own, or it is one of its readers; Redis refuses the stream otherwise. */
function missingReaders(root: string, name: string, topics: Lists['topics']): string[] {
  const code = globSync(`apps/${name}/**/*.ts`, {
    cwd: root,
    exclude: ['**/prisma/client/**', '**/*.{test,fixture}.ts'],
  })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n')
  return Object.entries(topics).flatMap(([topic, { service, sharedWith }]) => {
    const isNamed = new RegExp(`\\btopics\\.${topic}\\b|\\{[^}]*\\b${topic}\\b[^}]*\\} = topics\\b`).test(code)
    const isReader = name in sharedWith
    if (isNamed && service !== name && !isReader) {
      return [`libs/contracts/topics.ts: add '${name}' to the readers of ${topic}`]
    }
    return isReader && !isNamed ? [`apps/${name}: read ${topic}, or take ${name} from its readers`] : []
  })
}

const pages = {
  'README.md': 'draw it in the picture',
  'docs/architecture.md': 'draw it in the picture',
  '.vscode/launch.json': 'add `--inspect NAME` to the debugger of every service',
}

function missingOnPages(root: string, name: string): string[] {
  return Object.entries(pages)
    .filter(([file]) => existsSync(join(root, file)))
    .filter(([file]) => !isNamed(readFileSync(join(root, file), 'utf8'), name))
    .map(([file, add]) => `${file}: ${add.replace('NAME', name)}`)
}

/** In the pictures of a page; in the whole of another file. An instance is named with its number: `catalog1`. */
function isNamed(text: string, name: string): boolean {
  const pictures = [...text.matchAll(/^```mermaid\n(.*?)^```/gms)].map(([picture]) => picture)
  return new RegExp(`\\b${name}\\d?\\b`).test(pictures.length > 0 ? pictures.join('\n') : text)
}
