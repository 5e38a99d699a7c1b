/**
 * Keeps tokens in Secrets of a Kubernetes cluster, by its API server: one Secret for each source, which pods mount or take
 * into their environment. A Secret is changed only over the very state that was compared (`resourceVersion`), so of two
 * nodes none puts an older version over a newer one. One that somebody else made is left alone. The credentials of the
 * service account are read anew for each request, as the cluster replaces them.
 */
import { readFile } from 'node:fs/promises'
import { deadline, until, type Env } from '../../base/env.ts'
import { isJsonObject, type JsonObject } from '../../base/json.ts'
import type { KubernetesSinkConfig } from '../../model/sink.ts'
import { isOlder, SinkRefusal, writtenOf, type Sink, type SinkToken, type SinkTools } from './sink.ts'

export const kind = 'kubernetes'

const timeoutMs = 10_000
/** How often a change is tried over what somebody else changed meanwhile. */
const conflictsMax = 5
/** Answers are never larger than this, in bytes: a Secret holds a mebibyte at most, in base64. */
const answerBytesMax = 3 * 1_048_576

const marks = {
  managedBy: 'app.kubernetes.io/managed-by',
  source: 'zhongkong/source',
} as const

export function openSink(config: KubernetesSinkConfig, { env }: SinkTools): Sink {
  const call = caller(config, env)
  return {
    to: `${new URL(config.server).host}/${config.namespace ?? ''}`,
    lanes: 4,
    recheckMs: 300_000,
    put: async (name, token, signal) => {
      const secretName = nameOf(config.secretName, name)
      for (let conflicts = 0; conflicts < conflictsMax; conflicts += 1) {
        const outcome = await putOnce(call, { name, secretName, token }, signal)
        if (outcome !== 'conflict') return outcome
      }
      throw new Error(`Secret ${secretName}: somebody else keeps changing it`)
    },
    remove: async (name, signal) => {
      const secretName = nameOf(config.secretName, name)
      const found = await get(call, secretName, signal)
      if (found?.source !== name) return
      const { status } = await call('DELETE', secretName, { preconditions: { uid: found.uid } }, signal)
      if (!isOk(status) && status !== 404 && status !== 409) throw answered(status, secretName)
    },
    close: () => undefined,
  }
}

type Putting = { readonly name: string; readonly secretName: string; readonly token: SinkToken }

async function putOnce(
  call: Call,
  { name, secretName, token }: Putting,
  signal: AbortSignal,
): Promise<'written' | 'unchanged' | 'older' | 'conflict'> {
  const found = await get(call, secretName, signal)
  const wanted = dataOf(name, token)
  if (found === null) {
    const metadata = { name: secretName, ...labelled(name) }
    const secret = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data: wanted }
    const { status } = await call('POST', null, secret, signal)
    if (status === 409) return 'conflict'
    if (!isOk(status)) throw answered(status, secretName)
    return 'written'
  }
  if (found.source === null) {
    throw new Error(`Secret ${secretName} was not made by zhongkong: delete it, or choose another secret_name`)
  }
  if (found.source !== name) throw new Error(`Secret ${secretName} already holds source ${found.source}`)
  const there = { version: numberIn(found.data.version), issuedAtSeconds: numberIn(found.data.issued_at) }
  if (isOlder(writtenOf(token), there)) return 'older'
  if (Object.entries(wanted).every(([key, value]) => found.data[key] === value)) return 'unchanged'
  const patch = { metadata: { resourceVersion: found.resourceVersion }, data: wanted }
  const { status } = await call('PATCH', secretName, patch, signal)
  // 404: it was deleted meanwhile.
  if (status === 409 || status === 404) return 'conflict'
  if (!isOk(status)) throw answered(status, secretName)
  return 'written'
}

function labelled(name: string): JsonObject {
  return { labels: { [marks.managedBy]: 'zhongkong' }, annotations: { [marks.source]: name } }
}

/** `token`, `expires_at`, `issued_at` and `version`; instants in epoch seconds. Kubernetes takes values in base64. */
function dataOf(name: string, { token, expiresAt, issuedAt, version }: SinkToken): Readonly<Record<string, string>> {
  const texts = {
    name,
    token,
    expires_at: String(Math.floor(expiresAt / 1_000)),
    issued_at: String(Math.floor(issuedAt / 1_000)),
    version: String(version),
  }
  const coded = Object.entries(texts).map(([key, text]) => [key, Buffer.from(text, 'utf8').toString('base64')] as const)
  return Object.fromEntries(coded)
}

function numberIn(coded: unknown): number {
  const text = typeof coded === 'string' ? Buffer.from(coded, 'base64').toString('utf8') : ''
  return /^\d{1,15}$/.test(text) ? Number(text) : 0
}

type Found = {
  readonly uid: string
  readonly resourceVersion: string
  /** Whose token it holds; null when zhongkong did not make it. */
  readonly source: string | null
  readonly data: JsonObject
}

async function get(call: Call, secretName: string, signal: AbortSignal): Promise<Found | null> {
  const { status, body } = await call('GET', secretName, null, signal)
  if (status === 404) return null
  if (!isOk(status)) throw answered(status, secretName)
  const metadata = body !== null && isJsonObject(body.metadata) ? body.metadata : {}
  const { uid, resourceVersion } = metadata
  if (typeof uid !== 'string' || typeof resourceVersion !== 'string') {
    throw new Error('the API server gave an answer that is no Secret')
  }
  const labels = isJsonObject(metadata.labels) ? metadata.labels : {}
  const annotations = isJsonObject(metadata.annotations) ? metadata.annotations : {}
  const source = annotations[marks.source]
  return {
    uid,
    resourceVersion,
    source: labels[marks.managedBy] === 'zhongkong' && typeof source === 'string' ? source : null,
    data: body !== null && isJsonObject(body.data) ? body.data : {},
  }
}

/** Kubernetes takes small letters, digits, dashes and dots, and each part begins and ends with a letter or digit. */
function nameOf(template: string, name: string): string {
  const part = name
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, '-')
    .replace(/-*\.[-.]*/g, '.')
    .replace(/^[-.]+|[-.]+$/g, '')
  const whole = template.replaceAll('{name}', () => part)
  if (!secretNamePattern.test(whole)) throw new SinkRefusal(`"${whole}" is no name of a Secret`)
  return whole
}

const secretNamePattern = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/

type Answer = { readonly status: number; readonly body: JsonObject | null }

/** One request; null in place of a name is the collection. Rejects when there is no answer. */
type Call = (
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  secretName: string | null,
  body: object | null,
  signal: AbortSignal,
) => Promise<Answer>

function caller(config: KubernetesSinkConfig, env: Env): Call {
  return async (method, secretName, body, parent) => {
    const [token, ca, namespace] = await credentials(config)
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets${secretName === null ? '' : `/${secretName}`}`
    const time = deadline(env.clock, timeoutMs, parent)
    try {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const request = new Request(new URL(path, config.server), {
        method,
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${token}`,
          'user-agent': 'zhongkong',
          ...(body === null ? {} : { 'content-type': type }),
        },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
        redirect: 'manual',
        signal: time.signal,
      })
      const answer = await until(env.fetch(request, { ca }), time.signal)
      return { status: answer.status, body: await until(readJson(answer), time.signal) }
    } catch (thrown) {
      throw new Error(`the API server gave no answer${codeOf(thrown)}`, { cause: thrown })
    } finally {
      time.done()
    }
  }
}

async function credentials(config: KubernetesSinkConfig): Promise<readonly [string, string, string]> {
  const read = async (path: string): Promise<string> => {
    try {
      return (await readFile(path, 'utf8')).trim()
    } catch (thrown) {
      throw new Error(`${path} cannot be read; does this pod have its service account?`, { cause: thrown })
    }
  }
  const token = await read(config.tokenFile)
  // A header takes no line ends, and what is no token must not become one.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error(`${config.tokenFile} holds no token`)
  return [token, await read(config.caFile), config.namespace ?? (await read(config.namespaceFile))]
}

/** Null for what is no JSON object, or too large. */
async function readJson(answer: Response): Promise<JsonObject | null> {
  if (answer.body === null) return null
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > answerBytesMax) return null
    chunks.push(chunk)
  }
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    return isJsonObject(parsed) ? parsed : null
  } catch {
    return null
  }
}

function isOk(status: number): boolean {
  return status >= 200 && status < 300
}

function answered(status: number, secretName: string): Error {
  const what: Readonly<Partial<Record<number, string>>> = {
    401: 'it does not know this service account',
    403: 'the service account may not do that: it needs get, create, patch and delete on secrets',
    422: 'it does not take this Secret',
  }
  const said = what[status]
  return new Error(`Secret ${secretName}: the API server answered ${status}${said === undefined ? '' : `: ${said}`}`)
}

function codeOf(thrown: unknown): string {
  for (let cause = thrown; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return ` (${cause.code})`
  }
  return ''
}
