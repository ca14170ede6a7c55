import { expect, test } from 'vitest'
import { parseTarget } from './target.ts'

test('a URL names one server, Sentinels or the nodes of a Cluster', () => {
  expect(parseTarget('redis://127.0.0.1:6380')).toMatchObject({
    kind: 'standalone',
    isTls: false,
    nodes: [{ host: '127.0.0.1', port: 6380 }],
  })
  expect(parseTarget('rediss://order:s%40cret@redis.example')).toMatchObject({
    isTls: true,
    nodes: [{ host: 'redis.example', port: 6379 }],
    username: 'order',
    password: 's@cret',
  })
  expect(parseTarget('redis+sentinel://:pw@s1,s2:26380/main?sentinel-password=x%2By')).toMatchObject({
    kind: 'sentinel',
    nodes: [
      { host: 's1', port: 26_379 },
      { host: 's2', port: 26_380 },
    ],
    username: undefined,
    password: 'pw',
    masterName: 'main',
    sentinelPassword: 'x+y',
  })
  expect(parseTarget('rediss+cluster://[::1]:7000,n2')).toMatchObject({
    kind: 'cluster',
    isTls: true,
    nodes: [
      { host: '::1', port: 7000 },
      { host: 'n2', port: 6379 },
    ],
  })
})

test.each([
  ['', 'must look like'],
  ['http://host', 'must look like'],
  ['redis://', 'must look like'],
  ['redis://host:port', 'host:port'],
  ['redis://a:1,b:2', 'several hosts'],
  ['redis://host/3', 'database must be 0'],
  ['redis+sentinel://host', 'name of the master'],
  ['redis+cluster://host?nat=10.0.0.5:6379', 'announced:port=reached:port'],
  ['redis+cluster://host?nat=10.0.0.5=localhost:1', 'a port must be a number'],
  ['redis+cluster://host?nat=a:1=b:2=c:3', 'announced:port=reached:port'],
  ['redis://host?nat=a:1=b:2', 'announces no addresses'],
])('%j is refused', (url, reason) => {
  expect(() => parseTarget(url)).toThrow(reason)
})

test('a URL says where announced addresses are reached', () => {
  expect(
    parseTarget('redis+cluster://n1?nat=10.0.0.5:6379=localhost:7001,n2:6379=[::1]:7002&nat=n3:1=n4:2').natMap,
  ).toEqual({
    '10.0.0.5:6379': { host: 'localhost', port: 7001 },
    'n2:6379': { host: '::1', port: 7002 },
    'n3:1': { host: 'n4', port: 2 },
  })
  expect(parseTarget('redis+cluster://n1').natMap).toBeUndefined()
})

test('a refusal never shows the password', () => {
  for (const url of ['redis://u:hunter2@host/3', 'redis://u:hunter2@host:port', 'rediz://u:hunter2@host']) {
    expect(() => parseTarget(url)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hunter2') }))
  }
})
