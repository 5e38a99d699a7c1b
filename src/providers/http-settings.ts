/** What may be written in an `http` source, and how it is read. */
import { z } from 'zod'
import { Secret } from '../base/secret.ts'
import { parsePointer, type Pointer } from './json-pointer.ts'
import { duration, identifier, problem, urlProblem } from './setting.ts'
import { Template } from './template.ts'
import { TemplateError } from './template-words.ts'

/** A body as JSON, with templates where its texts were. */
export type JsonTemplate =
  | null
  | boolean
  | number
  | Template
  | readonly JsonTemplate[]
  | { readonly members: readonly (readonly [string, JsonTemplate])[] }

const yearMs = 365 * 86_400_000
const depthMax = 12

/** Null when it cannot be read; that has been told then. */
function template(text: string, context: z.RefinementCtx, path: (string | number)[] = []): Template | null {
  try {
    return Template.parse(text)
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown
    problem(context, thrown.text, path, thrown.at - 1)
    return null
  }
}

const templated = z
  .union([z.string(), z.number(), z.boolean()])
  .transform((value, context) => template(String(value), context) ?? z.NEVER)

const templatedRecord = z.record(z.string(), templated).transform((record) => Object.entries(record))

/** Everything up to the path is written out, so that nothing that is put in can send the request elsewhere. */
const url = z
  .string()
  .transform((text, context) => {
    const parsed = template(text, context)
    if (parsed === null) return z.NEVER
    const wrong = urlProblem(text.replace(/\{\{[^]*?\}\}/g, 'x'))
    if (wrong !== null) problem(context, wrong)
    else if (!parsed.isLiteral && !/^https?:\/\/[^/?#]+[/?]/i.test(parsed.prefix)) {
      problem(context, {
        en: 'The host must be written out; templates may stand behind it only',
        zh: '主机部分必须直接写出，模板只能出现在其后',
      })
    }
    return parsed
  })
  .describe('The address. Templates may stand in its path and query.')

/** Headers that belong to the connection, not to the request. */
const ownHeaders = [
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'upgrade',
  'te',
  'trailer',
  'expect',
  'keep-alive',
  'proxy-authorization',
]

const headers = z
  .record(
    z.string().superRefine((name, context) => {
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
        problem(context, { en: 'This is no header name', zh: '不是合法的请求头名称' })
      } else if (ownHeaders.includes(name.toLowerCase())) {
        problem(context, { en: 'The connection itself sets this header', zh: '由连接自身设置，不能指定' })
      }
    }),
    templated,
  )
  .transform((record) => Object.entries(record))

function jsonTemplate(value: unknown, context: z.RefinementCtx, path: (string | number)[]): JsonTemplate {
  if (path.length > depthMax) problem(context, { en: 'It is nested too deeply', zh: '嵌套过深' }, path)
  else if (typeof value === 'string') return template(value, context, path)
  else if (typeof value === 'number' || typeof value === 'boolean') return value
  else if (Array.isArray(value)) return value.map((each, index) => jsonTemplate(each, context, [...path, index]))
  else if (typeof value === 'object' && value !== null) {
    return { members: Object.entries(value).map(([key, each]) => [key, jsonTemplate(each, context, [...path, key])]) }
  }
  return null
}

function pointer(description: string): z.ZodType<Pointer> {
  return z
    .string()
    .transform((text, context) => {
      const parsed = parsePointer(text)
      if (parsed !== null && text !== '') return parsed
      problem(context, {
        en: 'It must be a JSON pointer, such as /access_token or /data/token',
        zh: '必须是 JSON 指针，如 /access_token 或 /data/token',
      })
      return z.NEVER
    })
    .describe(description)
}

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0

const reissues = ['retires-previous', 'same-until-window', 'same-until-expiry', 'extends', 'independent'] as const

export const httpSchema = z
  .strictObject({
    url,
    method: z.enum(['GET', 'POST']).optional().describe('Default: POST with a body or form, GET otherwise.'),
    query: templatedRecord.prefault({}).describe('Parameters added to the query of the address.'),
    headers: headers.prefault({}).describe('Request headers.'),
    body: z.unknown().optional().describe('Sent as JSON, with POST.'),
    form: templatedRecord.prefault({}).describe('Sent as a form, with POST.'),
    values: z
      .record(
        z.string(),
        z.union([z.string(), z.number()]).transform((value) => new Secret(String(value))),
      )
      .transform((record) => new Map(Object.entries(record)))
      .prefault({})
      .describe('Values for templates: {{values.NAME}}. The place for secrets that are signed with.'),
    token: pointer('Where the token stands in the answer. Default: /access_token').prefault('/access_token'),
    expires_in: z
      .union([z.number().positive(), pointer('')])
      .prefault('/expires_in')
      .describe('Where the lifetime stands in the answer, or a number of seconds. Default: /expires_in'),
    expires_unit: z.enum(['s', 'ms']).default('s').describe('The unit of a lifetime in the answer.'),
    expires_at: pointer('Where the instant of expiry stands: ISO 8601, epoch seconds or milliseconds.').optional(),
    error: pointer(
      'Where an error code stands; missing, null, false, empty, 0 and "0" mean none. Default: /errcode',
    ).prefault('/errcode'),
    error_message: pointer('Where the text of an error stands.').optional(),
    success: z
      .strictObject({
        pointer: pointer('Where it stands in the answer.'),
        equals: z.union([z.string(), z.number(), z.boolean()]).describe('The value that means success.'),
      })
      .optional()
      .describe('How success is told, where there is a field for it.'),
    reissue: z
      .enum(reissues)
      .optional()
      .describe(
        'What asking again does. Default: independent, or what is known of WeChat’s and WeCom’s own addresses.',
      ),
    grace: duration('How long a replaced token still works.', 0, yearMs).optional(),
    window: duration('For same-until-window: how long before the end a new token is given.', 0, yearMs).optional(),
    fallback_ttl: duration('Lifetime assumed when the answer tells none. Default: 5m', 1_000, 10 * yearMs).optional(),
    invalid_token_codes: z
      .array(z.union([z.string(), z.number()]))
      .optional()
      .describe('Codes by which the upstream’s other calls say that the token is bad.'),
    inject: z
      .union([
        z.strictObject({ query: identifier('The parameter.') }),
        z.strictObject({
          header: identifier('The header.'),
          prefix: z.string().default('Bearer ').describe('What stands before the token.'),
        }),
      ])
      .optional()
      .describe('How the token is put into other calls. Default: { query: access_token }'),
  })
  .transform((written, context) => {
    const { body, ...rest } = written
    const json = body === undefined || isEmptyObject(body) ? null : jsonTemplate(body, context, ['body'])
    const hasForm = written.form.length > 0
    const sends = json !== null || hasForm
    if (json !== null && hasForm)
      problem(context, { en: 'Use either `body` or `form`', zh: '`body` 与 `form` 只能使用其一' }, ['form'])
    if (written.method === 'GET' && sends) {
      problem(
        context,
        {
          en: 'GET sends no body: use `query`, or `method: POST`',
          zh: 'GET 不能带请求体：请改用 `query`，或设 `method: POST`',
        },
        [json === null ? 'form' : 'body'],
      )
    }
    const settings = { ...rest, json, method: written.method ?? (sends ? ('POST' as const) : ('GET' as const)) }
    for (const { path, template: each } of templatesOf(settings)) {
      for (const { name, index } of each.values()) {
        const text = { en: `There is no value "${name}" under \`values\``, zh: `\`values\` 中没有 "${name}"` }
        if (!written.values.has(name)) problem(context, text, path, index)
      }
    }
    return settings
  })

export type HttpSettings = z.output<typeof httpSchema>

type Placed = { readonly path: (string | number)[]; readonly template: Template }

/** Every template of the settings, with its place. */
export function templatesOf(
  settings: Pick<HttpSettings, 'url' | 'query' | 'headers' | 'form' | 'json'>,
): readonly Placed[] {
  const of = (key: string, entries: readonly (readonly [string, Template])[]): Placed[] =>
    entries.map(([name, each]) => ({ path: [key, name], template: each }))
  return [
    { path: ['url'], template: settings.url },
    ...of('query', settings.query),
    ...of('headers', settings.headers),
    ...insideJson(settings.json, ['body']),
    ...of('form', settings.form),
  ]
}

function insideJson(value: JsonTemplate, path: (string | number)[]): Placed[] {
  if (value instanceof Template) return [{ path, template: value }]
  if (typeof value !== 'object' || value === null) return []
  if ('members' in value) return value.members.flatMap(([key, each]) => insideJson(each, [...path, key]))
  return value.flatMap((each, index) => insideJson(each, [...path, index]))
}
