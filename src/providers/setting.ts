/** Building blocks of settings: what a secret, an address, a duration or another source's name looks like. */
import { z } from 'zod'
import { parseDuration } from '../base/duration.ts'
import { Secret } from '../base/secret.ts'
import type { Text } from '../base/text.ts'
import { sourceName } from '../model/source.ts'

/** What is wrong, without a full stop, and what to do about it, with one. */
export type Problem = Text & { readonly fix?: Text }

/** Adds a problem in both languages to what zod found; `index` is where in the text value it is, from 0. */
export function problem(context: z.RefinementCtx, text: Problem, path: (string | number)[] = [], index?: number): void {
  context.addIssue({ code: 'custom', message: text.en, params: { text, index }, path })
}

/** A secret; hidden from print as soon as it is parsed. */
export function secret(description: string): z.ZodType<Secret, string> {
  return z
    .string()
    .min(1)
    .transform((value) => new Secret(value))
    .describe(description)
}

/** An identifier that goes into requests: no spaces, nothing unprintable. */
export function identifier(description: string): z.ZodType<string, string> {
  return z
    .string()
    .min(1)
    .superRefine((value, context) => {
      if (!/^[\x21-\x7e]+$/.test(value)) problem(context, printable)
    })
    .describe(description)
}

const printable = {
  en: 'It must hold visible ASCII characters only, without spaces',
  zh: '只能包含可见的 ASCII 字符，不能有空格',
}

/** An identifier that may be written as a number. */
export function numericIdentifier(description: string): z.ZodType<string, string | number> {
  return z
    .union([identifier(''), z.number().int().nonnegative()])
    .transform(String)
    .describe(description)
}

/** The name of another source. */
export function sourceReference(description: string): z.ZodType<string, string> {
  return z
    .string()
    .superRefine((value, context) => {
      if (!sourceName.test(value))
        problem(context, { en: 'It must be the name of a source', zh: '必须是一个来源的名称' })
    })
    .describe(description)
}

/** A length of time (`90`, `90s`, `5m`, `2h`, `7d`), in milliseconds after parsing. */
export function duration(description: string, minMs: number, maxMs: number): z.ZodType<number, number | string> {
  return z
    .union([z.number(), z.string()])
    .transform((value, context) => {
      const ms = parseDuration(value)
      if (ms !== null && ms >= minMs && ms <= maxMs) return ms
      const [least, most] = [minMs / 1_000, maxMs / 1_000]
      problem(context, {
        en: `It must be a duration such as 30s, 5m or 2h, from ${least} to ${most} seconds`,
        zh: `必须是时长，如 30s、5m、2h，范围为 ${least} 至 ${most} 秒`,
      })
      return z.NEVER
    })
    .describe(description)
}

/** What is wrong with an HTTP address, or null. Credentials in it would end up in logs of everything on the way. */
export function urlProblem(text: string): Text | null {
  if (/[\s\\]/.test(text) || !/^https?:\/\/[^/]/i.test(text) || !URL.canParse(text)) {
    return {
      en: 'It must be an address that begins with https:// or http://',
      zh: '必须是以 https:// 或 http:// 开头的地址',
    }
  }
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') {
    return { en: 'It must not hold a user name or password', zh: '不能包含用户名或密码' }
  }
  return url.hash === '' ? null : { en: 'It must not hold a fragment (#…)', zh: '不能包含片段（#…）' }
}

/** The address of an upstream, possibly with a path in front of its own paths; without a slash at the end. */
export function baseUrl(real: string, description: string): z.ZodType<string, string | undefined> {
  return asBaseUrl(z.string().default(real)).describe(`${description} Default: ${real}`)
}

/** The same for upstreams that have a host for each customer. */
export function ownBaseUrl(description: string): z.ZodType<string, string> {
  return asBaseUrl(z.string()).describe(description)
}

function asBaseUrl<In>(text: z.ZodType<string, In>): z.ZodType<string, In> {
  return text.superRefine(checkBase).transform(withoutSlash)
}

/** The same for an upstream whose real address depends on another key; `description` says how. */
export function optionalBaseUrl(description: string): z.ZodType<string | undefined, string | undefined> {
  return z.string().superRefine(checkBase).transform(withoutSlash).optional().describe(description)
}

function checkBase(value: string, context: z.RefinementCtx): void {
  const wrong = urlProblem(value)
  if (wrong !== null) problem(context, wrong)
  else if (value.includes('?')) problem(context, { en: 'It must not hold a query (?…)', zh: '不能包含查询参数（?…）' })
}

function withoutSlash(value: string): string {
  return value.replace(/\/+$/, '')
}

/** Host and path of an address, for identities. */
export function placeOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname.replace(/\/+$/, '')}`
}
