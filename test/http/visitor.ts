/**
 * The http room on a fake keeper, visited without sockets. Every answer is checked against the OpenAPI document that the
 * server itself gives out, so no test can pass with an answer that is not described.
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { expect } from 'vitest'
import { createAccess } from '../../src/access/access.ts'
import type { Env } from '../../src/base/env.ts'
import { sha256 } from '../../src/base/secret.ts'
import { createBus } from '../../src/events/bus.ts'
import { createMetrics } from '../../src/events/metrics.ts'
import { openapi } from '../../src/http/openapi.ts'
import { routes } from '../../src/http/routes.ts'
import { createHandler, type Authorising, type Compat, type Handler, type Peer } from '../../src/http/server.ts'
import type { ClientGrant } from '../../src/model/client.ts'
import { FakeKeeper, type FakeSource } from './fake-keeper.ts'

export const loopback: Peer = { address: '127.0.0.1', isLoopback: true }
export const remote: Peer = { address: '203.0.113.9', isLoopback: false }

export const noCompat: Compat = { tokenboy: null, wechatTokenServer: null }

export function client(name: string, key: string, grant: Partial<ClientGrant> = {}): ClientGrant {
  const keyHash = sha256(key).toString('hex')
  return { name, keyHash, read: [], refresh: [], gateway: [], admin: false, ...grant }
}

export type Question = {
  readonly method?: string
  readonly key?: string
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly peer?: Peer
  readonly signal?: AbortSignal
}

export type Told = {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The body as JSON; undefined when it is none. */
  readonly json: any // eslint-disable-line @typescript-eslint/no-explicit-any
}

export type Visitor = {
  readonly keeper: FakeKeeper
  readonly handler: Handler
  readonly faults: unknown[]
  readonly env: Env
  /** What receivers of forwarded messages answer; nobody, unless a test says so. */
  answer: (request: Request) => Response | Promise<Response>
  /** Moves wall and monotonic time. */
  readonly advance: (ms: number) => void
  readonly ask: (path: string, question?: Question) => Promise<Told>
}

export type House = {
  readonly sources?: readonly FakeSource[]
  readonly clients?: readonly ClientGrant[]
  readonly compat?: Compat
  readonly hosts?: readonly string[]
  readonly authorising?: Authorising
  readonly publicUrl?: string
}

export function openHouse(house: House = {}): Visitor {
  const { sources = [], clients = [], compat = noCompat, hosts = [], publicUrl } = house
  const more = house.authorising === undefined ? {} : { authorising: house.authorising }
  const keeper = new FakeKeeper(sources)
  let monotonic = 0
  let dice = 0
  const env: Env = {
    clock: {
      now: () => keeper.now,
      monotonic: () => monotonic,
      // Time stands still, so whoever sleeps does so until somebody ends it.
      sleep: (_ms, signal) => new Promise((resolve) => signal?.addEventListener('abort', () => resolve())),
    },
    random: { next: () => 0.5, bytes: (length) => Uint8Array.from({ length }, () => (dice += 1) % 251) },
    fetch: async (request) => await visitor.answer(request),
  }
  const faults: unknown[] = []
  const metrics = createMetrics({ bus: createBus((thrown) => faults.push(thrown)), version: '1.2.3' })
  const onFault = (thrown: unknown): void => void faults.push(thrown)
  const access = createAccess(clients)
  const common = { keeper, access, compat, env, metrics, version: '1.2.3', hosts, onFault }
  const handler = createHandler({ ...common, ...more, publicUrl })
  const advance = (ms: number): void => {
    keeper.now += ms
    monotonic += ms
  }
  const ask = async (path: string, question: Question = {}): Promise<Told> => {
    const { method = 'GET', key, headers = {}, body, peer = loopback, signal } = question
    const request = new Request(`http://localhost:8888${path}`, {
      method,
      headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...headers },
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
    })
    const response = await handler(request, peer)
    const text = await textOf(response)
    checkDescribed(method, new URL(request.url).pathname, response, text)
    return { status: response.status, headers: response.headers, text, json: parsed(text) }
  }
  const visitor: Visitor = {
    keeper,
    handler,
    faults,
    env,
    answer: () => Promise.reject(new Error('no network here')),
    advance,
    ask,
  }
  return visitor
}

/** The whole body; of a stream of events, which has no end, what it begins with. */
async function textOf(response: Response): Promise<string> {
  if (response.headers.get('content-type') !== 'text/event-stream' || response.body === null)
    return await response.text()
  const reader = response.body.getReader()
  const { value } = await reader.read()
  await reader.cancel()
  return new TextDecoder().decode(value)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Operation = { readonly responses: Record<string, { readonly content?: Record<string, unknown> }> }

const document = openapi(routes, '1.2.3') as { readonly paths: Record<string, Record<string, Operation>> }
const ajv = new Ajv2020({ strict: false })
ajv.addSchema({ $id: 'api', ...document })
const validators = new Map<string, ValidateFunction>()

/** Fails unless status, content type and body are what the document says of that operation. */
export function checkDescribed(method: string, path: string, response: Response, text: string): void {
  const found = Object.keys(document.paths).find((known) =>
    new RegExp(`^${known.replaceAll('.', '\\.').replace('{name}', '[^/]+')}$`).test(path),
  )
  const operation =
    found === undefined ? undefined : document.paths[found]![method === 'HEAD' ? 'get' : method.toLowerCase()]
  if (operation === undefined) {
    expect([404, 405]).toContain(response.status)
    if (method === 'HEAD') return
    validate('#/components/schemas/Problem', text)
    return
  }
  const described = operation.responses[String(response.status)]
  expect(described, `${method} ${path} answered ${response.status}, which is not described`).toBeDefined()
  const type = response.headers.get('content-type')?.split(';')[0]
  if (described!.content === undefined) {
    expect(text).toBe('')
    return
  }
  if (method === 'HEAD') return
  const known = Object.keys(described!.content)
  if (known.includes('*/*')) return
  expect(known).toContain(type)
  const pointer = [
    'paths',
    found!,
    method.toLowerCase(),
    'responses',
    String(response.status),
    'content',
    type!,
    'schema',
  ]
  validate(
    `#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`,
    text,
  )
}

function validate(pointer: string, text: string): void {
  const validator = validators.get(pointer) ?? ajv.compile({ $ref: `api${pointer}` })
  validators.set(pointer, validator)
  const value = parsed(text) ?? text
  expect(validator(value), `${text}: ${ajv.errorsText(validator.errors)}`).toBe(true)
}
