/** From the settings of an `http` source to a request: every value is put in by its position. */
import type { Json } from '../base/json.ts'
import { sha256 } from '../base/secret.ts'
import type { Ask } from './ask.ts'
import type { HttpSettings, JsonTemplate } from './http-settings.ts'
import { Template, type Scope } from './template.ts'

export type Built = {
  /** Null when what was put in cannot be sent. */
  readonly request: Ask | null
  /** What must not be told when the upstream repeats it. */
  readonly secrets: readonly string[]
}

type Entry = readonly [string, string]

export function buildRequest(settings: HttpSettings, scope: Scope): Built {
  const fillAll = (entries: readonly (readonly [string, Template])[]): Entry[] =>
    entries.map(([key, template]) => [key, template.fill(scope)])
  const headers = fillAll(settings.headers)
  const query = fillAll(settings.query)
  const form = fillAll(settings.form)
  const { json } = settings
  const leaves: Entry[] = []
  const filled =
    json === null
      ? null
      : fillJson(json, '', (template, key) => {
          const text = template.fill(scope)
          leaves.push([key, text])
          return template.isNumber && /^-?\d{1,15}$/.test(text) ? Number(text) : text
        })
  const url = urlOf(settings.url, scope, query)
  const written = url === null ? [] : [...new URL(url).searchParams]
  const secrets = [
    ...scope.values.values(),
    ...[...scope.inputs.values()].map(({ token }) => token),
    ...[...headers, ...query, ...form, ...leaves, ...written].filter(isTelling).map(([, value]) => value),
  ]
  if (url === null || !headers.every(([, value]) => /^[\x20-\x7e]*$/.test(value))) return { request: null, secrets }
  const request = { method: settings.method, url }
  const given = Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]))
  if (filled !== null) {
    const body = JSON.stringify(filled)
    return { request: { ...request, headers: { 'content-type': 'application/json', ...given }, body }, secrets }
  }
  if (form.length === 0) return { request: { ...request, headers: given }, secrets }
  const body = encoded(form)
  const type = 'application/x-www-form-urlencoded'
  return { request: { ...request, headers: { 'content-type': type, ...given }, body }, secrets }
}

/**
 * Which of the parameters name the account cannot be known, so the digest covers them all; references stand in it as
 * they are written.
 */
export function digestOf(settings: HttpSettings): string {
  const written = (entries: readonly (readonly [string, Template])[]): Entry[] =>
    entries.map(([key, template]) => [key, template.reveal()])
  const { method, url, json } = settings
  const everything = [
    method,
    url.reveal(),
    ...[settings.query, settings.headers, settings.form].map(written),
    json === null ? null : fillJson(json, '', (template) => template.reveal()),
    [...settings.values].map(([name, value]) => [name, value.reveal()]),
    settings.token.text,
  ]
  return sha256(JSON.stringify(everything)).toString('hex').slice(0, 16)
}

/** Null when what was put in would change the path. */
function urlOf(url: Template, scope: Scope, query: readonly Entry[]): string | null {
  const put: string[] = []
  const address = url.fill(scope, (value) => {
    put.push(value)
    // By way of bytes, because encodeURIComponent throws for half a surrogate pair.
    return encodeURIComponent(Buffer.from(value, 'utf8').toString('utf8'))
  })
  if (put.some((value) => value === '.' || value === '..') || !URL.canParse(address)) return null
  if (query.length === 0) return address
  const joint = !address.includes('?') ? '?' : /[?&]$/.test(address) ? '' : '&'
  return `${address}${joint}${encoded(query)}`
}

function encoded(entries: readonly Entry[]): string {
  return new URLSearchParams(entries.map(([key, value]) => [key, value])).toString()
}

function fillJson(value: JsonTemplate, key: string, fill: (template: Template, key: string) => Json): Json {
  if (value instanceof Template) return fill(value, key)
  if (typeof value !== 'object' || value === null) return value
  if (!('members' in value)) return value.map((each) => fillJson(each, key, fill))
  return Object.fromEntries(value.members.map(([name, each]) => [name, fillJson(each, name, fill)]))
}

/** Could be a secret: it is called like one, or is long enough to be one. */
function isTelling([key, value]: Entry): boolean {
  return value.length >= 12 || /secret|password|passwd|key|sign|token|ticket|assertion|auth|credential/i.test(key)
}
