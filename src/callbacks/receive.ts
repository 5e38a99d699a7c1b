/**
 * What a request to a callback is: a check of the URL, a message, or nothing that is believed. A pure function of the
 * source's callback, the request and the time, in the order that `scheme.ts` tells; it takes time in proportion to the
 * request, and never throws for anything that is sent.
 */
import type { Message } from '../model/message.ts'
import type { Callback, CallbackScheme } from '../model/source.ts'
import { scheme as dingtalk } from './dingtalk.ts'
import { scheme as feishu } from './feishu.ts'
import { readFields } from './fields.ts'
import { plainType, type Post, type Proof, type Refused, type Reply, type Scheme } from './scheme.ts'
import { scheme as wechat } from './wechat.ts'
import { scheme as wecom } from './wecom.ts'

export const schemes: Readonly<Record<CallbackScheme, Scheme>> = { wechat, wecom, dingtalk, feishu }

export type Received =
  | Refused
  /** Null is the usual acknowledgement. */
  | { readonly check: Reply | null; readonly key: string }
  | { readonly message: Message; readonly key: string }

export function receive(callback: Callback, post: Post, now: number): Received {
  const scheme = schemes[callback.scheme]
  const query = queryOf(post.search)
  if (query === null) return { refused: 'malformed' }
  const proof = scheme.prove(callback, post, query)
  if ('refused' in proof) return proof
  if (!isFresh(callback, proof, now)) return { refused: 'late' }
  const text = proof.isSealed ? scheme.unseal(callback, proof.text) : proof.text
  if (typeof text !== 'string') return text
  if (proof.isEcho === true) return { check: { type: plainType, body: text }, key: proof.key }
  const fields = readFields(text)
  if (fields === null) return { refused: 'unreadable' }
  const judged = scheme.judge?.(callback, fields, proof) ?? null
  if (judged !== null) return 'refused' in judged ? judged : { check: judged.check, key: proof.key }
  const facts = scheme.facts(fields)
  const account = facts.account ?? query.get('appid') ?? callback.receiveIds[0] ?? null
  return { message: { ...facts, account, fields, raw: text }, key: proof.key }
}

/** The parameters by name; null when one is there twice, as two readers would choose differently. */
function queryOf(search: string): ReadonlyMap<string, string> | null {
  const query = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(search)) {
    if (query.has(name)) return null
    query.set(name, value)
  }
  return query
}

function isFresh({ maxAgeSeconds }: Callback, { stampedAt }: Proof, now: number): boolean {
  return maxAgeSeconds === 0 || stampedAt === null || Math.abs(now - stampedAt) <= maxAgeSeconds * 1_000
}
