/**
 * `/v1/jssdk/{name}`: what a page needs for `wx.config`, `wx.agentConfig`, `dd.config` or `h5sdk.config`, and what cards are
 * signed with. The ticket itself never leaves here. `name` is the ticket's source, or the account's, whose ticket is found.
 *
 * A ticket with `domains` signs the pages of these domains for whoever asks, as the signature is of no use anywhere else,
 * and browsers may ask from pages of these domains. Otherwise, and for cards, a key that may read the source is needed.
 */
import { z } from 'zod'
import { asZhongkongError, ZhongkongError } from '../../base/errors.ts'
import { isPageDomain } from '../../model/page-domain.ts'
import type { Signing, Source } from '../../model/source.ts'
import { json, type Answer } from '../answer.ts'
import { admit } from '../gate.ts'
import { checkQuery } from '../input.ts'
import { cardSignature, dingtalkAddress, pageOf, pageSignature } from '../page-signature.ts'
import { randomHex } from '../platform.ts'
import { problem } from '../problem.ts'
import { refuse } from '../refuse.ts'
import { cardAnswerSchema, pageAnswerSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'

/** Browsers may keep a signature for so long at most, in seconds; it is good for as long as its ticket lives. */
const keptSecondsMax = 300
/** Browsers may keep the answer to a preflight for so long, in seconds. */
const preflightSeconds = 600

type Ticket = { readonly source: Source; readonly signing: Signing }

/** The ticket's own source, or the ticket of that type of an account's source; null when there is none. */
async function ticketOf({ house, name, url }: Visit): Promise<Ticket | null> {
  const type = url.searchParams.get('type')
  const asked = await house.keeper.source(name)
  if (asked === undefined) return null
  const isMeant = ({ definition }: Source, wanted: string): boolean => (definition.type ?? 'jsapi') === wanted
  if (asked.signing !== undefined) {
    return type === null || isMeant(asked, type) ? { source: asked, signing: asked.signing } : null
  }
  const wanted = type ?? 'jsapi'
  const own = hasOffspring(asked, wanted) ? await house.keeper.source(`${name}/${wanted}`) : undefined
  for (const source of [...(own === undefined ? [] : [own]), ...(await house.keeper.dependents(name))]) {
    if (source.signing !== undefined && isMeant(source, wanted)) return { source, signing: source.signing }
  }
  return null
}

function hasOffspring({ offspring = {} }: Source, part: string): boolean {
  return Object.hasOwn(offspring, part)
}

/** The ticket of an organisation comes into being when it is first read, by somebody who may; null when there is none. */
async function firstTicketOf(visit: Visit): Promise<Ticket | null> {
  const { house, name, url } = visit
  const asked = await house.keeper.source(name)
  const wanted = url.searchParams.get('type') ?? 'jsapi'
  if (asked !== undefined && !hasOffspring(asked, wanted)) return null
  await house.keeper.get(asked === undefined ? name : `${name}/${wanted}`, { signal: visit.request.signal })
  return await ticketOf(visit)
}

async function sign(visit: Visit): Promise<Answer> {
  const ticket = await ticketOf(visit)
  const origin = listedOrigin(visit, ticket)
  const cors = origin === null ? [] : ['Access-Control-Allow-Origin', origin]
  const headers = ['Vary', 'Origin', ...cors]
  try {
    const isPublic = isForAnybody(visit, ticket)
    if (!isPublic) admitKey(visit)
    checkQuery(visit.url)
    const found = ticket ?? (await firstTicketOf(visit))
    if (found === null) throw new ZhongkongError('not_found', 'no ticket here')
    const { body, leftMs } = await signed(visit, found)
    const seconds = Math.min(keptSecondsMax, Math.floor(leftMs / 1_000))
    const keeping = isPublic && seconds > 0 ? { cacheControl: `private, max-age=${seconds}` } : {}
    return { ...json(200, body, headers), ...keeping }
  } catch (thrown) {
    const error = asZhongkongError(thrown)
    if (error.code === 'internal') throw thrown
    // Without them a page could not even read what is wrong.
    const told = problem(error, visit.language)
    return { ...told, headers: [...(told.headers ?? []), ...headers] }
  }
}

/** The Origin that was sent, when it is one of the ticket's domains. */
function listedOrigin({ credentials }: Visit, ticket: Ticket | null): string | null {
  const { origin } = credentials
  if (origin === null || ticket === null || !/^https?:\/\//.test(origin) || !URL.canParse(origin)) return null
  const url = new URL(origin)
  return url.origin === origin && isPageDomain(url.host, ticket.signing.domains) ? origin : null
}

function isForAnybody(visit: Visit, ticket: Ticket | null): boolean {
  const { authorization, origin } = visit.credentials
  if (ticket === null || authorization !== null || ticket.signing.scheme === 'wechat-card') return false
  if (ticket.signing.domains.length === 0) return false
  if (origin === null || listedOrigin(visit, ticket) !== null) return true
  throw new ZhongkongError('forbidden', 'pages of this origin may not ask here', { hint: addDomain })
}

const addDomain = {
  en: 'Add the domain to `domains` of the ticket’s source, with its port where that is not the usual one.',
  zh: '请将该域名加入票据来源的 `domains`；非默认端口需一并写上。',
}

function admitKey({ house, name, credentials, peer }: Visit): void {
  const admission = admit(house, 'read', name, { credentials, peer })
  if ('refused' in admission) throw refuse(house, admission, peer)
}

type Signed = { readonly body: object; readonly leftMs: number }

async function signed(visit: Visit, ticket: Ticket): Promise<Signed> {
  const { keeper, env } = visit.house
  const { source, signing } = ticket
  const address = signing.scheme === 'wechat-card' ? '' : addressOf(visit, signing)
  const { snapshot, leftMs } = await keeper.get(source.name, { signal: visit.request.signal })
  const account = await accountOf(visit, ticket)
  const stamp = { ticket: snapshot.token, nonce: randomHex(visit, 8), now: env.clock.now(), account }
  const body = signing.scheme === 'wechat-card' ? signedCard(visit.url, stamp) : signedPage(signing, address, stamp)
  return { body, leftMs }
}

/** What of the address is signed. Throws for one that is none, and for one that the ticket is not for. */
function addressOf({ url }: Visit, { scheme, domains }: Signing): string {
  const given = url.searchParams.get('url')
  const page = given === null ? null : pageOf(given)
  if (page === null) {
    throw new ZhongkongError(
      'bad_request',
      'url must be the address of a page: http or https, encoded as a parameter',
      {
        hint: {
          en: 'Send ?url=${encodeURIComponent(location.href)}: without encodeURIComponent, what follows & is lost.',
          zh: '请使用 ?url=${encodeURIComponent(location.href)}；不编码会丢失 & 之后的内容。',
        },
      },
    )
  }
  if (domains.length > 0 && !isPageDomain(page.host, domains)) {
    throw new ZhongkongError('forbidden', `pages of ${page.host} are not signed with this ticket`, { hint: addDomain })
  }
  return scheme === 'dingtalk' ? dingtalkAddress(page.signed) : page.signed
}

/** The account that the page names; null when nobody here knows it. */
async function accountOf({ house }: Visit, { source, signing }: Ticket): Promise<string | null> {
  if (signing.account !== undefined) return signing.account
  // DingTalk's pages name the organisation, which the app's own credential does not.
  const isByCredential = signing.scheme !== 'dingtalk'
  const seen = new Set<string>()
  let above = source.needs[0]
  while (above !== undefined && !seen.has(above)) {
    seen.add(above)
    const parent = await house.keeper.source(above)
    if (parent?.account !== undefined) return parent.account
    if (isByCredential && parent?.credential != null) return parent.credential.account
    above = parent?.needs[0]
  }
  return null
}

type Stamp = {
  readonly ticket: string
  readonly nonce: string
  /** Epoch milliseconds. */
  readonly now: number
  readonly account: string | null
}

/** What goes into the platform's own call as it is. What is not known here is left out: the page may know it. */
function signedPage({ scheme, agentId }: Signing, url: string, { ticket, nonce, now, account }: Stamp): object {
  const timestamp = scheme === 'feishu' ? now : Math.floor(now / 1_000)
  const signature = pageSignature({ ticket, nonce, timestamp, url })
  const agent = agentId ?? null
  if (scheme === 'dingtalk') {
    return known({ corpId: account, agentId: agent, timeStamp: timestamp, nonceStr: nonce, signature })
  }
  const ofAgent = scheme === 'wecom-agent' ? { corpid: account, agentid: agent } : {}
  return known({ appId: account, ...ofAgent, timestamp, nonceStr: nonce, signature })
}

/** For `wx.addCard`, or with `for=chooseCard` for that. */
function signedCard({ searchParams }: URL, { ticket, nonce, now, account }: Stamp): object {
  const given = (name: string): string => searchParams.get(name) ?? ''
  const timestamp = String(Math.floor(now / 1_000))
  const cardId = given('card_id')
  if (given('for') === 'chooseCard') {
    const [shopId, cardType] = [given('shop_id'), given('card_type')]
    const cardSign = cardSignature([ticket, account ?? '', shopId, timestamp, nonce, cardId, cardType])
    return { shopId, cardType, cardId, timestamp: Number(timestamp), nonceStr: nonce, signType: 'SHA1', cardSign }
  }
  if (cardId === '') throw new ZhongkongError('bad_request', 'card_id is missing')
  const own = { code: given('code'), openid: given('openid'), balance: given('balance') }
  const signature = cardSignature([ticket, timestamp, cardId, nonce, ...Object.values(own)])
  const told = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== ''))
  return { cardId, cardExt: JSON.stringify({ ...told, timestamp, nonce_str: nonce, signature }) }
}

function known(fields: Readonly<Record<string, string | number | null>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
}

/** Browsers ask first when a page adds headers of its own. A key is not among those that it may add. */
async function preflight(visit: Visit): Promise<Answer> {
  const origin = listedOrigin(visit, await ticketOf(visit))
  if (origin === null) {
    throw new ZhongkongError('forbidden', 'pages of this origin may not ask here', { hint: addDomain })
  }
  return {
    status: 204,
    type: null,
    body: null,
    headers: [
      ...['Vary', 'Origin', 'Access-Control-Allow-Origin', origin, 'Access-Control-Allow-Methods', 'GET'],
      ...['Access-Control-Allow-Headers', 'Accept-Language, Content-Type, X-Requested-With'],
      ...['Access-Control-Max-Age', String(preflightSeconds)],
    ],
  }
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/v1/jssdk/{name}',
    scope: 'own',
    handler: sign,
    doc: {
      group: 'jssdk',
      summary:
        'The signature of a page, for its platform’s JS-SDK. Pages of `domains` need no key; otherwise a key that may read the source.',
      query: z.object({
        url: z.string().optional().describe('The address of the page; what follows # is not signed. Not for cards.'),
        type: z.string().optional().describe('With the source of an account: which of its tickets. Default: jsapi'),
        card_id: z
          .string()
          .optional()
          .describe('With a wx_card ticket: the card, and code, openid, balance as it has.'),
        code: z.string().optional(),
        openid: z.string().optional(),
        balance: z.string().optional(),
        for: z.literal(['addCard', 'chooseCard']).optional().describe('With a wx_card ticket. Default: addCard'),
        shop_id: z.string().optional().describe('For chooseCard.'),
        card_type: z.string().optional().describe('For chooseCard.'),
      }),
      answers: { 200: { description: 'The signature', schema: z.union([pageAnswerSchema, cardAnswerSchema]) } },
    },
  },
  {
    method: 'OPTIONS',
    path: '/v1/jssdk/{name}',
    scope: 'own',
    handler: preflight,
    doc: {
      group: 'jssdk',
      summary: 'Asked by browsers before a page asks with headers of its own.',
      answers: { 204: { description: 'A page of this origin may ask' } },
    },
  },
]
