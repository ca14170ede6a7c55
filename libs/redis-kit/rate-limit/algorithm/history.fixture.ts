/**
 * Runs histories of one id through the unchanged scripts, many in one call, by a clock that the test sets: in place of `redis` they
 * get a table whose TIME is that clock, whose expiries follow it, and which counts the writes.
 */
import { readFileSync } from 'node:fs'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { afterAll } from 'vitest'
import { type Algorithm, kinds, type Policy } from '../algorithms.ts'

export interface Step {
  /** `again` waits as the decision before told, and checks the same. */
  kind: 'check' | 'peek' | 'penalize' | 'refund' | 'reset' | 'again'
  cost: number
  /** Time that passes before; with `isToEdge` until the next window begins, and so much beyond. */
  waitUs: number
  isToEdge?: boolean
  /** Which of the charges so far is given back. */
  which?: number
}

export interface History {
  policy: Policy
  startUs: number
  steps: readonly Step[]
  /** Keys expire by the clock of the test. @default they do not */
  expires?: boolean
}

/** The first is 1 where a charge was given back, too. */
export type Found = [
  nowUs: number,
  allowed: 0 | 1,
  remaining: number,
  retryAfterMs: number,
  resetAfterMs: number,
  writeCount: number,
]

export interface Run {
  found: Found[][]
  /** How often a script ran, and how often it asked for the time. */
  callCount: number
  timeCount: number
}

/** A fault that a test plants: a text of a script and what replaces it. */
export type Fault = readonly [script: string, text: string, replacement: string]

/** A server of the file's own, to be called at its top: a call runs many histories, and the server answers nobody else meanwhile. */
export async function startHistoryServer(): Promise<Redis> {
  const server = await startRedis()
  const redis = new Redis(server.url)
  afterAll(async () => {
    redis.disconnect()
    await server.stop()
  })
  return redis
}

let runCount = 0

export async function runHistories(redis: Redis, histories: readonly History[], fault?: Fault): Promise<Run> {
  const algorithm = histories[0]?.policy.algorithm ?? 'gcra'
  const input = histories.map(({ policy, startUs, steps, expires = false }) => ({
    startUs,
    windowUs: policy.periodMs * 1_000,
    numbers: kinds[algorithm].plan(policy).numbers,
    expires,
    steps,
  }))
  runCount += 1
  const runner = runnerOf(algorithm, fault)
  const reply = (await redis.eval(runner, 1, `history:${runCount}:`, JSON.stringify(input))) as [
    number,
    number,
    [string, ...number[]][][],
  ]
  const [callCount, timeCount, results] = reply
  const found = results.map((steps) => steps.map(([nowUs, ...rest]) => [Number(nowUs), ...rest] as Found))
  return { found, callCount, timeCount }
}

function runnerOf(algorithm: Algorithm, fault?: Fault): string {
  return runner
    .replace('--[[decide]]', () => sourceOf(algorithm, fault))
    .replace('--[[refund]]', () => sourceOf(`${algorithm}-refund`, fault))
}

function sourceOf(name: string, fault?: Fault): string {
  const source = readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8').replace(/^#!.*\n/, '')
  if (fault?.[0] !== name) return source
  const [, text, replacement] = fault
  if (!source.includes(text)) throw new Error(`${name}.lua has no ${text}`)
  return source.replace(text, () => replacement)
}

const runner = `
local real, now, timeCount, callCount, writeCount, expiries = redis, 0, 0, 0, 0, {}
local reads = { GET = true, HMGET = true, ZRANGE = true, ZRANGEBYSCORE = true, ZCOUNT = true }
local function text(number) return string.format('%.0f', number) end
local function caller(name)
  return function(command, key, ...)
    if command == 'TIME' then
      timeCount = timeCount + 1
      return { text(math.floor(now / 1000000)), text(now % 1000000) }
    end
    local options = { ... }
    for i, option in ipairs(options) do
      if option == 'PX' then expiries[key] = math.floor(now / 1000) + options[i + 1] end
    end
    if command ~= 'PEXPIRE' then
      local reply = real[name](command, key, ...)
      if not reads[command] and reply and reply ~= 0 then writeCount = writeCount + 1 end -- SET NX may write nothing
      return reply
    end
    writeCount = writeCount + 1
    expiries[key] = math.floor(now / 1000) + options[1]
    return 1
  end
end
local redis = { call = caller('call'), pcall = caller('pcall') }
local function decide(KEYS, ARGV)
--[[decide]]
end
local function refund(KEYS, ARGV)
--[[refund]]
end
local function arguments(numbers, ...)
  local all = {}
  for _, value in ipairs(numbers) do all[#all + 1] = text(value) end
  for _, value in ipairs({ ... }) do all[#all + 1] = type(value) == 'number' and text(value) or value end
  return all
end
local function expire()
  for key, atMs in pairs(expiries) do
    if math.floor(now / 1000) > atMs then
      real.call('DEL', key)
      expiries[key] = nil
    end
  end
end
local function runStep(step, state)
  if step.kind == 'again' then
    now = now + math.max(0, state.waitMs) * 1000
  elseif step.isToEdge then
    now = now - now % state.windowUs + state.windowUs + step.waitUs
  else
    now = now + step.waitUs
  end
  if state.expires then expire() end
  if step.kind == 'reset' then return { real.call('DEL', state.key) } end
  callCount = callCount + 1
  if step.kind == 'refund' then
    local charge = state.charges[#state.charges > 0 and step.which % #state.charges + 1]
    if not charge then
      callCount = callCount - 1
      return { 0 }
    end
    return { refund({ state.key, state.key .. charge.id }, arguments(state.numbers, charge.cost, charge.stampUs, charge.id)) }
  end
  local mode, cost, id = step.kind, step.cost, 'c' .. callCount
  if mode == 'again' then mode, cost = 'check', state.cost end
  local reply = decide({ state.key }, arguments(state.numbers, cost, mode, id))
  if mode == 'check' and reply[1] == 1 then
    state.charges[#state.charges + 1] = { id = id, cost = cost, stampUs = reply[5] }
  end
  state.cost, state.waitMs = mode == 'penalize' and 1 or cost, reply[3]
  return reply
end
local results = {}
for i, history in ipairs(cjson.decode(ARGV[1])) do
  local state = { key = KEYS[1] .. i, charges = {}, cost = 1, waitMs = 0 }
  state.numbers, state.expires, state.windowUs = history.numbers, history.expires, history.windowUs
  now, expiries, results[i] = history.startUs, {}, {}
  for j, step in ipairs(history.steps) do
    writeCount = 0
    local reply = runStep(step, state)
    results[i][j] = { text(now), reply[1], reply[2] or 0, reply[3] or 0, reply[4] or 0, writeCount }
  end
  for key in pairs(expiries) do real.call('DEL', key) end
  real.call('DEL', state.key)
end
return { callCount, timeCount, results }
`
