/**
 * Tells programs of new tokens by a signed POST, as https://www.standardwebhooks.com has it, so that its libraries check the
 * signature: HMAC-SHA256 over `id.timestamp.body`. The token itself travels only when that was asked for, and never in a
 * URL. Redirects are not followed and answers are not read: only the status counts. The id names source and version, so
 * that whoever hears the same twice, or late, can tell.
 */
import { createHmac } from 'node:crypto'
import { deadline, until } from '../../base/env.ts'
import type { WebhookSinkConfig } from '../../model/sink.ts'
import { SinkRefusal, type Sink, type SinkToken, type SinkTools } from './sink.ts'

export const kind = 'webhook'

/** Removals whose id is remembered; beyond, one that is tried again counts as another. */
const removalsMax = 10_000

export function openSink(config: WebhookSinkConfig, { env }: SinkTools): Sink {
  const { origin } = new URL(config.url)
  const key = signingKey(config.secret.reveal())
  /** News of removals that nobody has taken yet: tried again, they keep their id. */
  const removals = new Map<string, string>()
  const post = async (id: string, content: object, signal: AbortSignal): Promise<void> => {
    const time = deadline(env.clock, config.timeoutMs, signal)
    try {
      const body = JSON.stringify(content)
      // Signed anew for each try: a receiver refuses what is too old.
      const timestamp = String(Math.floor(env.clock.now() / 1_000))
      const request = new Request(config.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'zhongkong',
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': `v1,${signatureOf(key, `${id}.${timestamp}.${body}`)}`,
        },
        body,
        redirect: 'manual',
        signal: time.signal,
      })
      const answer = await until(env.fetch(request), time.signal)
      // However large it is, or slow to end: nobody reads it.
      void answer.body?.cancel().catch(() => undefined)
      judge(answer.status)
    } catch (thrown) {
      if (thrown instanceof WebhookAnswer || thrown instanceof SinkRefusal) throw thrown
      const isLate = time.signal.aborted && !signal.aborted
      throw new WebhookAnswer(isLate ? `no answer within ${config.timeoutMs} ms` : `no answer${codeOf(thrown)}`)
    } finally {
      time.done()
    }
  }
  return {
    to: origin,
    lanes: 8,
    recheckMs: null,
    put: async (name, token, signal) => {
      removals.delete(name)
      const content = { type: 'rotated', ...contentOf(name, token, config.includesToken) }
      await post(`${name}@${token.version}.${Math.floor(token.issuedAt / 1_000)}`, content, signal)
      return 'written'
    },
    remove: async (name, signal) => {
      const id = removals.get(name) ?? `${name}@removed.${Math.floor(env.clock.now() / 1_000)}`
      if (removals.size >= removalsMax) removals.clear()
      removals.set(name, id)
      await post(id, { type: 'removed', name }, signal)
      removals.delete(name)
    },
    close: () => undefined,
  }
}

/** Its message holds nothing of what the other side said. */
class WebhookAnswer extends Error {}

function judge(status: number): void {
  if (status >= 200 && status < 300) return
  if (status === 410) throw new SinkRefusal('answered 410: it wants no more of this')
  if (status >= 300 && status < 400) throw new WebhookAnswer(`answered ${status}; redirects are not followed`)
  throw new WebhookAnswer(`answered ${status}`)
}

function contentOf(name: string, token: SinkToken, includesToken: boolean): object {
  return {
    name,
    version: token.version,
    issued_at: Math.floor(token.issuedAt / 1_000),
    expires_at: Math.floor(token.expiresAt / 1_000),
    ...(includesToken ? { token: token.token } : {}),
  }
}

/** A secret of the standard's form holds its bytes in base64; any other text is its own bytes. */
function signingKey(secret: string): Buffer {
  return secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64')
    : Buffer.from(secret, 'utf8')
}

function signatureOf(key: Buffer, signed: string): string {
  return createHmac('sha256', key).update(signed, 'utf8').digest('base64')
}

/** ` (ECONNREFUSED)` and the like, from as deep as it stands. */
function codeOf(thrown: unknown): string {
  for (let cause = thrown; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return ` (${cause.code})`
  }
  return ''
}
