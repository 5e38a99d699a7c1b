/** An upstream that answers what the test says, and short ways to ask it through a provider. */
import type { Env } from '../../src/base/env.ts'
import { deadline } from '../../src/base/env.ts'
import type { JsonObject } from '../../src/base/json.ts'
import type { Attempt } from '../../src/model/failure.ts'
import type { Source } from '../../src/model/source.ts'
import type { Siblings } from '../../src/model/definition.ts'
import { issue, parseSource, type Input } from '../../src/providers/catalogue.ts'
import { manualClock, noon, seededRandom, type ManualClock } from '../simulator/stage.ts'

export type Script = (request: Request) => Response | Promise<Response>

/** What an upstream with this body answers. */
export function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(typeof body === 'string' ? body : JSON.stringify(body), {
    headers: { 'content-type': 'application/json' },
    ...init,
  })
}

/** What fetch throws, with a cause that has this code. */
export function broken(code: string, more: object = {}): TypeError {
  return new TypeError('fetch failed', {
    cause: Object.assign(new Error(`${code} https://x/?secret=canary`), { code }, more),
  })
}

export function source(definition: JsonObject, siblings?: Siblings): Source {
  const parsed = parseSource('x', definition, 'file', siblings)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  return parsed.source
}

export type Asked = {
  readonly proxies: readonly (string | undefined)[]
  readonly attempt: Attempt
  readonly requests: readonly Request[]
  readonly bodies: readonly string[]
}

export type AskOptions = {
  readonly force?: boolean
  readonly inputs?: Readonly<Record<string, Input>>
  readonly clock?: ManualClock
  readonly timeoutMs?: number
  /** The grant it is asked with. */
  readonly grant?: string | null
}

export function input(token: string, fields: JsonObject = {}): Input {
  return { token, version: 1, fields }
}

/** Asks once; answers the outcome and what was sent. */
export async function askScripted(definition: JsonObject, script: Script, options: AskOptions = {}): Promise<Asked> {
  const clock = options.clock ?? manualClock(noon)
  const requests: Request[] = []
  const bodies: string[] = []
  const proxies: (string | undefined)[] = []
  const env: Env = {
    clock,
    random: seededRandom(1),
    fetch: async (request, through) => {
      proxies.push(through?.proxy)
      requests.push(request)
      bodies.push(request.body === null ? '' : await request.clone().text())
      return await script(request)
    },
  }
  const time = deadline(clock, options.timeoutMs ?? 8_000)
  const inputs = new Map(Object.entries(options.inputs ?? {}))
  try {
    const asked = source(definition)
    const { proxy } = asked.policy
    const attempt = await issue(asked, {
      env,
      signal: time.signal,
      force: options.force ?? false,
      inputs,
      ...(options.grant === undefined ? {} : { grant: options.grant }),
      ...(proxy === undefined ? {} : { proxy }),
    })
    return { attempt, requests, bodies, proxies }
  } finally {
    time.done()
  }
}

/** The outcome in a few words, for tables. */
export function gist({ attempt }: Asked): string {
  if (attempt.outcome === 'issued') return `issued ${String(attempt.issued.lifetimeMs)}`
  const { code } = attempt.failure
  if (attempt.outcome !== 'rejected') return `${attempt.outcome} ${code}`
  const wait = attempt.waitMs === undefined ? '' : ` ${attempt.waitMs}`
  return `rejected ${attempt.class} ${code}${wait}`
}
