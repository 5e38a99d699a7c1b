/**
 * The shape of the configuration: which keys there are and of which type. The descriptions are what editors show and
 * docs/config.md repeats. What a value means (addresses, globs, keys) is checked elsewhere; a source's own keys
 * belong to its provider.
 */
import { z } from 'zod'
import { callRule } from '../model/call-rules.ts'
import { layoutPresets } from '../model/sink-layout.ts'
import type { Path } from './problem.ts'

const globs = z.array(z.string())

const time = z.union([z.string(), z.number()]).optional()

const expiry = z
  .union([
    z.string(),
    z.strictObject({
      sdk: z.string().optional().describe('Its library, whose margin is known.'),
      margin: time.describe('What it takes off expires_in by itself.'),
      floor: time.describe('How long it shall keep a token after that, as far as the token lives. Default: 60s'),
      cap: time.describe('The most that it is told.'),
    }),
  ])
  .optional()

const callRules = z.array(z.string().regex(callRule, 'A path such as /cgi-bin/user/*, or METHOD and a path'))

const gateway = z
  .union([
    globs,
    z.strictObject({
      sources: globs.describe('Sources through which it may call the upstream.'),
      allow: callRules.optional().describe('Only these calls: paths, or METHOD and path; * matches anything.'),
      deny: callRules.default([]).describe('Never these calls.'),
      per_second: z.number().min(0.01).max(100_000).optional().describe('Calls in a second.'),
    }),
  ])
  .default([])
  .describe('Sources through which it may call the upstream; or these as `sources`, with rules for the calls.')

const server = z
  .strictObject({
    listen: z
      .string()
      .default('127.0.0.1:8888')
      .describe('Where to listen: HOST:PORT, [IPV6]:PORT, or unix:/path/to.sock.'),
    tls: z
      .strictObject({
        cert: z.string().describe('Certificate chain, a PEM file; relative to this file.'),
        key: z.string().describe('Private key, a PEM file; relative to this file.'),
      })
      .optional()
      .describe('Serve HTTPS with this certificate.'),
    trusted_network: z
      .boolean()
      .default(false)
      .describe('true allows an address other than loopback without TLS. Clients are required all the same.'),
    public_url: z
      .string()
      .optional()
      .describe('The address by which browsers reach this server, for authorising accounts; needed behind a proxy.'),
    workers: z.int().min(1).max(64).default(1).describe('Processes behind the address, 1 to 64; each is a whole node.'),
  })
  .describe('How programs reach this server.')

const client = z
  .strictObject({
    key: z.string().describe('SHA-256 of the API key as sha256:HEX; `zhongkong key new` makes both.'),
    read: globs.default([]).describe('Sources whose token it may read; * matches any characters.'),
    refresh: globs.default([]).describe('Sources it may ask to refresh or report as bad.'),
    gateway,
    admin: z.boolean().default(false).describe('May do everything, sources included.'),
    expiry: expiry.describe('What it is told in expires_in: the name of its library, or margin, floor and cap.'),
  })
  .describe('One program and what it may do.')

const compat = z
  .strictObject({
    tokenboy: z
      .union([
        z.boolean(),
        z.strictObject({
          allow: z.array(z.string()).default([]).describe('Addresses that may read without a key, as CIDR.'),
        }),
      ])
      .default(false)
      .describe("TokenBoy's GET /token?name=. Without keys on loopback; elsewhere for `allow` or with a Bearer key."),
    wechat_token_server: z
      .strictObject({ secret: z.string().describe('The secret its clients send (requestSecret).') })
      .optional()
      .describe("wechat-token-server's GET /wechat/token and /wechat/token/forcerefresh."),
    expiry: expiry.describe(
      'The same as `expiry` of a client, for callers who are none: with an AppSecret, a token, or without a key.',
    ),
  })
  .describe('Surfaces of older token servers, for their clients.')

const sinkName = z
  .string()
  .optional()
  .describe('How logs, metrics and /v1/sinks call it. Default: its kind and place in the list.')
const sinkSources = globs.default(['*']).describe('Sources that are written; * matches any characters.')

const fileSink = z.strictObject({
  kind: z.literal('file').describe('Writes files.'),
  name: sinkName,
  sources: sinkSources,
  path: z.string().describe('The file; {name} stands for the source. Relative to this file.'),
  format: z
    .enum(['json', 'plain', 'env'])
    .default('json')
    .describe('json: an object; plain: the token alone; env: lines of NAME=value.'),
  mode: z.union([z.string(), z.int()]).default('0600').describe('File mode in octal.'),
  owner: z.union([z.string(), z.int()]).optional().describe('Whose the file is: a name or a number.'),
  group: z.union([z.string(), z.int()]).optional().describe('The group of the file: a name or a number.'),
})

const redisSink = z.strictObject({
  kind: z.literal('redis').describe('Writes keys of a Redis.'),
  name: sinkName,
  sources: sinkSources,
  url: z.string().describe('redis://, rediss://, redis+sentinel:// or redis+cluster://, as for a store.'),
  preset: z.enum(layoutPresets).optional().describe('Whose keys and values; or `key` and `value` instead.'),
  prefix: z
    .string()
    .optional()
    .describe("What the layout's keys begin with, where its readers are set to another prefix."),
  key: z.string().optional().describe('A key of your own; {name}, {account} and {type} stand for those of the source.'),
  value: z
    .string()
    .optional()
    .describe(
      'Its value; {token}, {json}, {version}, {issued_at}, {expires_at}, and what a key takes. Default: {token}.',
    ),
})

const webhookSink = z.strictObject({
  kind: z.literal('webhook').describe('Tells of new tokens by a signed POST.'),
  name: sinkName,
  sources: sinkSources,
  url: z.string().describe('Where to; https, or http without the token.'),
  secret: z.string().describe('Signs each request (HMAC-SHA256); the receiver has the same.'),
  include_token: z.boolean().default(false).describe('Sends the token along; over https or to this machine only.'),
  timeout: z.union([z.string(), z.number()]).default('10s').describe('How long the receiver may take to answer.'),
})

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount'

const kubernetesSink = z.strictObject({
  kind: z.literal('kubernetes').describe('Keeps Secrets of a Kubernetes cluster.'),
  name: sinkName,
  sources: sinkSources,
  secret_name: z.string().default('zhongkong-{name}').describe('The Secret; {name} stands for the source.'),
  namespace: z.string().optional().describe('Default: that of the service account.'),
  server: z.string().default('https://kubernetes.default.svc').describe('URL of the API server.'),
  token_file: z
    .string()
    .default(`${serviceAccount}/token`)
    .describe('Token of the service account, read for each request.'),
  ca_file: z.string().default(`${serviceAccount}/ca.crt`).describe('Authority of the API server, PEM.'),
})

const sink = z
  .discriminatedUnion('kind', [fileSink, redisSink, webhookSink, kubernetesSink])
  .describe('Passes every new token on to where programs read it.')

/** Every kind of sink. */
export const sinkKinds: readonly string[] = ['file', 'redis', 'webhook', 'kubernetes']

export type WrittenSink = z.infer<typeof sink>

export const configSchema = z
  .strictObject({
    server: server.prefault({}),
    encryption_key: z
      .string()
      .optional()
      .describe(
        '32 bytes as hex or base64, or file:PATH. Without it, a key file is made beside the database; a shared store needs it.',
      ),
    store: z
      .string()
      .default('sqlite:./data/zhongkong.db')
      .describe('Where tokens are kept: sqlite:PATH, memory, or what nodes share: redis://, postgres:// or mysql://.'),
    spill: z
      .string()
      .optional()
      .describe(
        'A folder for refresh tokens and the like that the store cannot take at the moment; better on another disk. Default: beside the database, or ./data/zhongkong.spill.',
      ),
    sources: z
      .record(z.string(), z.record(z.string(), z.unknown()))
      .default({})
      .describe('The tokens to keep, by name.'),
    clients: z.record(z.string(), client).default({}).describe('The programs that may read, by name.'),
    compat: compat.prefault({}),
    sinks: z.array(sink).default([]).describe('Where else each new token is written.'),
    alerts: z.array(z.unknown()).default([]).describe('Whom to tell of failures. Comes with a later version.'),
  })
  .describe('Configuration of zhongkong.')

export type WrittenConfig = z.infer<typeof configSchema>

/** The keys that the schema knows at a path; none where any key goes, such as the names of sources. */
export function keysAt(path: Path): readonly string[] {
  let nodes: readonly JsonSchema[] = [
    z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema,
  ]
  for (const segment of path) {
    nodes = nodes
      .flatMap((node) => inside(node, segment))
      .flatMap((node) => [node, ...(node.anyOf ?? node.oneOf ?? [])])
  }
  return [...new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {})))]
}

type JsonSchema = {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: JsonSchema | boolean
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
}

function inside(node: JsonSchema, segment: string | number): JsonSchema[] {
  const own = typeof segment === 'string' ? node.properties?.[segment] : node.items
  if (own !== undefined) return [own]
  return typeof node.additionalProperties === 'object' ? [node.additionalProperties] : []
}
