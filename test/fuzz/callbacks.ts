/**
 * Random requests against `receive`: real ones of every scheme, changed as a hostile caller would change them, and texts
 * changed before they were signed, so that the parsers are reached, too. Judged without looking inside: whatever is
 * believed must be something that was signed here, nothing may throw, and nothing may take long.
 */
import { Secret } from '../../src/base/secret.ts'
import { receive } from '../../src/callbacks/receive.ts'
import type { Post } from '../../src/callbacks/scheme.ts'
import type { Callback } from '../../src/model/source.ts'
import {
  callbackOf,
  encryptKey,
  get,
  now,
  plain,
  plainQuery,
  post,
  sealed,
  sealedDingtalk,
  sealedFeishu,
  sealedXml,
  textMessage,
  token,
} from '../callbacks/platform.ts'

export type FuzzResult = {
  readonly inputs: number
  readonly believed: number
  /** How often each reason was given; a reason that is missing was never reached. */
  readonly refused: ReadonlyMap<string, number>
  readonly slowestMs: number
  readonly faults: readonly string[]
}

type Dice = { readonly below: (limit: number) => number; readonly of: <T>(values: readonly T[]) => T }

/** A small generator (mulberry32), so that a seed gives the same run everywhere. */
function diceOf(seed: number): Dice {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * limit)
  }
  return { below, of: (values) => values[below(values.length)]! }
}

/** What trips parsers, and long rows of it. */
const words = [
  '<xml>', '</xml>', '<a>', '</a>', '<a/>', '<Encrypt>', '</Encrypt>', '<![CDATA[', ']]>', '<!DOCTYPE xml [', '<!ENTITY a "b">',
  '&a;', '<?xml version="1.0"?>', '<!--', '<__proto__>', '<constructor>', '{', '}', '[', ']', '"', '\\', '":"', ',', '"__proto__":{',
  '"encrypt":"', '{"a":', '\u0000', '\ufeff', '\ud83d\ude00', '=', '+', '%', '&', 'nonce=n&', '\n', ' ', 'A'.repeat(43), '9'.repeat(40),
] // prettier-ignore
const bytesMax = 64 * 1_024

function changed(text: string, { below, of }: Dice): string {
  const at = below(text.length + 1)
  const end = Math.min(text.length, at + below(40))
  switch (below(7)) {
    case 0:
      return text.slice(0, at) + text.slice(end)
    case 1:
      return text.slice(0, at) + of(words) + text.slice(at)
    case 2:
      return text.slice(0, at) + of(words).repeat(1 + below(40)) + text.slice(end)
    case 3:
      return text.slice(0, at) + String.fromCharCode(below(256)) + text.slice(at + 1)
    case 4:
      return text.slice(0, end) + text.slice(at)
    case 5:
      return text.slice(0, at)
    default: {
      // Rarely, as it is slow by its size alone.
      if (below(20) > 0) return text
      const word = of(words)
      return (text.slice(0, at) + word.repeat(Math.ceil(bytesMax / word.length)) + text.slice(at)).slice(0, bytesMax)
    }
  }
}

type Case = { readonly callback: Callback; readonly request: Post }

const wechat = callbackOf('wechat')
const plainWechat = callbackOf('wechat', plain)
const wecom = callbackOf('wecom')
const dingtalk = callbackOf('dingtalk')
const feishu = callbackOf('feishu', { aesKey: new Secret(encryptKey) })
const plainFeishu = callbackOf('feishu', plain)

const contents = [
  textMessage('hello'),
  '<?xml version="1.0"?>\n<xml><AppId>wx1</AppId><InfoType>component_verify_ticket</InfoType><A><B><C>1</C></B></A></xml>',
  '{"ToUserName":"gh","MsgType":"event","Event":"a","List":[{"a":[1,2]}]}',
  '{"EventType":"suite_ticket","SuiteTicket":"t"}',
]

/** A request as its platform sends it, and what it proves: the text that was sealed, or the stamp that was signed. */
function honest(text: string, dice: Dice): Case & { readonly proves: string } {
  const echo = sealed(text)
  const event = { type: 'event_callback', token, event: { type: text.slice(0, 40) } }
  const json = JSON.stringify(event)
  return dice.of<() => Case & { proves: string }>([
    () => ({ callback: wechat, request: sealedXml(text), proves: text }),
    () => ({ callback: wechat, request: post(echo.query, JSON.stringify({ Encrypt: echo.encrypt })), proves: text }),
    () => ({ callback: plainWechat, request: post(plainQuery(), text), proves: plainQuery().signature }),
    () => ({ callback: wechat, request: get({ ...plainQuery(), echostr: '1' }), proves: plainQuery().signature }),
    () => ({ callback: wecom, request: sealedXml(text), proves: text }),
    () => ({ callback: wecom, request: get({ ...echo.query, echostr: echo.encrypt }), proves: text }),
    () => ({ callback: dingtalk, request: sealedDingtalk(text), proves: text }),
    () => ({ callback: feishu, request: sealedFeishu(event), proves: json }),
    () => ({ callback: plainFeishu, request: post('', json), proves: json }),
  ])()
}

/** The request with something of it changed, and perhaps sent to another source. */
function hostile({ callback, request }: Case, dice: Dice): Case {
  const times = 1 + dice.below(3)
  let { search } = request
  let body = Buffer.from(request.body).toString()
  for (let time = 0; time < times; time += 1) {
    if (dice.below(3) === 0) search = changed(search, dice)
    else body = changed(body, dice)
  }
  const other = dice.below(20) === 0 ? dice.of([wechat, plainWechat, wecom, dingtalk, feishu, plainFeishu]) : callback
  const method = dice.below(50) === 0 ? dice.of(['GET', 'POST'] as const) : request.method
  const bytes = Buffer.from(body, dice.below(50) === 0 ? 'latin1' : 'utf8').subarray(0, bytesMax)
  return { callback: other, request: { ...request, method, search, body: bytes } }
}

export function fuzzCallbacks({ inputs, seed }: { readonly inputs: number; readonly seed: number }): FuzzResult {
  const dice = diceOf(seed)
  const refused = new Map<string, number>()
  const faults: string[] = []
  let believed = 0
  let slowestMs = 0
  for (let at = 0; at < inputs; at += 1) {
    // Half of them are changed before they are signed, half after, some neither.
    let text = dice.of(contents)
    if (dice.below(2) === 0) text = changed(changed(text, dice), dice).slice(0, 40_000).trim()
    // Half a character cannot be sent: it is something else as soon as it is bytes.
    const real = honest(Buffer.from(text).toString(), dice)
    const { callback, request } = dice.below(2) === 0 ? hostile(real, dice) : real
    const said = (what: string): void => {
      faults.push(
        `seed ${seed}, input ${at}: ${what}: ${request.search} ${Buffer.from(request.body).toString().slice(0, 200)}`,
      )
    }
    const tookMs = (): number => {
      const before = process.cpuUsage()
      receive(callback, request, now)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1_000
    }
    try {
      // What takes long once may have met the garbage collector; what takes long three times is slow.
      const first = tookMs()
      slowestMs = Math.max(slowestMs, first > slowestMs ? Math.min(first, tookMs(), tookMs()) : first)
      const received = receive(callback, request, now)
      if ('refused' in received) {
        refused.set(received.refused, (refused.get(received.refused) ?? 0) + 1)
        continue
      }
      believed += 1
      if (!isProven(received, { callback, request }, real.proves))
        said(`believed ${JSON.stringify(received).slice(0, 200)}`)
      if ('message' in received && Object.getPrototypeOf(received.message.fields) !== Object.prototype)
        said('a prototype')
    } catch (thrown) {
      said(`threw ${String(thrown)}`)
    }
  }
  return { inputs, believed, refused, slowestMs, faults }
}

/** Whether what was believed was signed here, by what the schemes promise and not by how they check it. */
function isProven(received: object, { callback, request }: Case, proves: string): boolean {
  const text = 'message' in received ? (received.message as { raw: string }).raw : null
  if (callback === plainFeishu) return Buffer.from(request.body).toString().includes(`"${token}"`)
  const isPlainStamp = callback === plainWechat || (callback === wechat && request.method === 'GET')
  if (isPlainStamp)
    return new URLSearchParams(request.search).get('signature')?.toLowerCase() === plainQuery().signature
  if (text !== null) return text === proves
  // Checks of the URL that are answered with what was sealed, and those of DingTalk and Feishu, whose answer tells no text.
  const { check } = received as { check: { body: string } | null }
  return check === null || check.body === proves || callback === feishu
}
