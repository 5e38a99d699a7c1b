/**
 * `/authorize/{name}`: a person authorises a source, and comes back with a code.
 *
 * A journey begins with an admin's key, on this machine where no keys are configured, or by a link that an admin made,
 * which is good for one authorisation. What must come back unchanged (state, PKCE verifier) travels in a sealed cookie, so
 * a code is taken only from the browser that was sent for it, by any node, for a quarter of an hour; that it is taken once
 * is the platform's part. Nothing secret stands in an address but the link itself.
 */
import { z } from 'zod'
import { errorTable, ZhongkongError } from '../../base/errors.ts'
import { safeEqual, sha256 } from '../../base/secret.ts'
import type { Text } from '../../base/text.ts'
import type { AuthorizeAnswer } from '../../wire/v1.ts'
import { json, type Answer } from '../answer.ts'
import { page, pageType } from '../authorize-page.ts'
import { admit } from '../gate.ts'
import { checkQuery, readJsonObject } from '../input.ts'
import { problemOf } from '../problem.ts'
import { publicOrigin } from '../public-origin.ts'
import { refuse } from '../refuse.ts'
import { authorizeBodySchema, authorizeSchema } from '../schemas.ts'
import type { Journey, Surface, SurfaceDoc, Visit } from '../surface.ts'

/** A link that an admin made is good for so long, in milliseconds. */
const linkMs = 3_600_000
/** A person has so long at the platform, in milliseconds. */
const journeyMs = 900_000

const device = z.enum(['desktop', 'mobile'])
/** `since` names the authorisation that there was when the link was made: another one ends the link, on every node. */
const linkShape = z.object({ name: z.string(), device: device.optional(), since: z.number().nullable() })
type Link = z.output<typeof linkShape>

const journeyShape = z.object({
  name: z.string(),
  state: z.string(),
  verifier: z.string(),
  redirectUri: z.string(),
  device,
  /** The link that it began with, and its `since`; null with a key. */
  by: z.object({ link: z.string(), since: z.number().nullable() }).nullable(),
})
type Travel = z.output<typeof journeyShape>

/** Makes the link by which somebody without a key may authorise one source once. */
async function invite(visit: Visit): Promise<Answer> {
  const { house, name, url, request } = visit
  checkQuery(url)
  const body = authorizeBodySchema.safeParse(await readJsonObject(request))
  if (!body.success) throw new ZhongkongError('bad_request', 'the body may hold `device`: desktop or mobile')
  await house.authorising.codeParameter(name)
  const link: Link = { name, since: await authorizedAt(visit), ...body.data }
  const sealed = house.sealer.seal('link', link, linkMs)
  const answer: AuthorizeAnswer = {
    url: `${publicOrigin(visit)}${pathOf(name)}?start=${sealed}`,
    expires_in: linkMs / 1_000,
  }
  return json(200, answer)
}

async function begin(visit: Visit): Promise<Answer> {
  const given = visit.url.searchParams.get('start')
  return await shown(visit, { path: '.', link: given }, async () => {
    const { house, name, request } = visit
    const link = given === null ? admittedByKey(visit) : await admittedByLink(visit, given)
    const origin = publicOrigin(visit)
    const travel: Travel = {
      name,
      state: chance(visit),
      verifier: chance(visit),
      redirectUri: `${origin}${pathOf(name)}/done`,
      device: link?.device ?? deviceOf(request.headers.get('user-agent')),
      by: link === null ? null : { link: given ?? '', since: link.since },
    }
    const location = await house.authorising.link(name, journeyOf(travel))
    const cookie = cookieOf(visit, origin, house.sealer.seal('journey', travel, journeyMs), journeyMs)
    if (!(await house.authorising.isEnteredByClick(name))) {
      return { status: 302, type: null, body: null, headers: ['Location', location, ...cookie] }
    }
    // Which site sends them is told, and nothing else of the address; the last policy counts.
    const headers = [...cookie, 'Referrer-Policy', 'origin']
    const onward = { href: location, text: goOn }
    const lines = [willBeBack[visit.language]]
    return page({ status: 200, tone: 'onward', title: authorise, name, lines, onward, headers }, visit.language)
  })
}

async function finish(visit: Visit): Promise<Answer> {
  const travel = travelOf(visit)
  return await shown(visit, { path: '..', link: travel?.by?.link ?? null }, async () => {
    const { house, name, url, language } = visit
    if (travel === null) throw strayed()
    // Another journey by the same link may have ended first.
    if (travel.by !== null) await mustBeUnused(visit, travel.by)
    const said = url.searchParams.get('error')
    if (said !== null) throw declined(said)
    const code = url.searchParams.get(await house.authorising.codeParameter(name))
    if (code === null || code === '') throw new ZhongkongError('bad_request', 'the platform sent no code along')
    const source = await house.authorising.complete(name, { code, journey: journeyOf(travel) })
    const origin = travel.redirectUri
    const headers = cookieOf(visit, origin, '', 0)
    return page(
      { status: 200, tone: 'good', title: connected, name: source, lines: [done[language]], headers },
      language,
    )
  })
}

/** The way from a page to `/authorize/`, as a proxy may have put a path in front; and the link that led there. */
type From = { readonly path: '.' | '..'; readonly link: string | null }

/** What goes wrong as a page: with the words that a caller of `/v1` would get, and the way to begin anew. */
async function shown(visit: Visit, from: From, answer: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer()
  } catch (thrown) {
    if (!(thrown instanceof ZhongkongError) || thrown.code === 'internal') throw thrown
    const { language } = visit
    const { status, detail, hint, code, upstream } = problemOf(thrown, language)
    // Who may not look is told of no source, not even the one they named.
    const isShown = code !== 'unauthorized' && code !== 'forbidden' && code !== 'not_found'
    const name = isShown ? visit.name : ''
    const theirs = upstream === undefined ? '' : ` · ${upstream.errcode} ${upstream.errmsg}`
    const lines = [hint ?? errorTable[thrown.code].text[language]]
    const again = `${from.path}/${encodeURIComponent(name)}${from.link === null ? '' : `?start=${from.link}`}`
    return page(
      {
        status,
        tone: 'bad',
        title: notConnected,
        name,
        lines,
        details: `${code}: ${detail}${theirs}`,
        ...(isShown ? { onward: { href: again, text: beginAnew } } : {}),
      },
      language,
    )
  }
}

function admittedByKey({ house, name, credentials, peer }: Visit): null {
  const admission = admit(house, 'admin', name, { credentials, peer })
  if (!('refused' in admission)) return null
  throw refuse(house, { ...admission, hint: admission.hint ?? linkNeeded }, peer)
}

/** The link, if it is for this source, young enough and not used. */
async function admittedByLink(visit: Visit, sealed: string): Promise<Link> {
  const link = visit.house.sealer.open('link', sealed, linkShape)
  if (link?.name !== visit.name) throw new ZhongkongError('forbidden', 'the link has ended', { hint: linkOver })
  await mustBeUnused(visit, link)
  return link
}

async function mustBeUnused(visit: Visit, { since }: Pick<Link, 'since'>): Promise<void> {
  if (since === (await authorizedAt(visit))) return
  throw new ZhongkongError('forbidden', 'the source was authorised since the link was made', { hint: linkUsed })
}

async function authorizedAt({ house, name }: Visit): Promise<number | null> {
  const state = await house.keeper.state(name)
  if (state === undefined) throw new ZhongkongError('not_found', 'no such source')
  return state.authorizedAt
}

/** The journey of this browser that this answer belongs to; null when there is none. */
function travelOf({ house, name, url, request }: Visit): Travel | null {
  const { searchParams: query } = url
  const state = query.get('state') ?? ''
  if (query.getAll('state').length !== 1) return null
  for (const cookie of (request.headers.get('cookie') ?? '').split(';')) {
    const [key = '', value = ''] = cookie.trim().split('=')
    if (!cookieNames(name).includes(key)) continue
    const travel = house.sealer.open('journey', value, journeyShape)
    if (travel !== null && travel.name === name && safeEqual(travel.state, state)) return travel
  }
  return null
}

/** With TLS the browser itself sees to it that no other host of the domain has set it. */
function cookieNames(name: string): readonly [secure: string, plain: string] {
  const plain = `zhongkong-${sha256(name).toString('hex').slice(0, 12)}`
  return [`__Host-${plain}`, plain]
}

function cookieOf({ name }: Visit, origin: string, value: string, livesMs: number): readonly string[] {
  const [secure, plain] = cookieNames(name)
  const isSecure = origin.startsWith('https:')
  const rest = `Path=/; Max-Age=${livesMs / 1_000}; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
  return ['Set-Cookie', `${isSecure ? secure : plain}=${value}; ${rest}`]
}

function journeyOf({ redirectUri, state, verifier, device: kind }: Travel): Journey {
  return { redirectUri, state, verifier, device: kind }
}

/** 43 characters that nobody guesses. */
function chance({ house }: Visit): string {
  return Buffer.from(house.env.random.bytes(32)).toString('base64url')
}

function pathOf(name: string): string {
  return `/authorize/${encodeURIComponent(name)}`
}

function deviceOf(agent: string | null): Journey['device'] {
  return /Mobile|Android|iPhone|iPod|HarmonyOS/i.test(agent ?? '') ? 'mobile' : 'desktop'
}

const authorise: Text = { en: 'Authorise this account', zh: '授权此账号' }
const goOn: Text = { en: 'Go to the platform', zh: '前往平台授权' }
const willBeBack: Text = {
  en: 'You are asked on the page of the platform, and come back here afterwards.',
  zh: '请在平台的页面上确认授权，完成后会返回这里。',
}
const beginAnew: Text = { en: 'Begin anew', zh: '重新开始' }
const connected: Text = { en: 'Connected', zh: '授权成功' }
const notConnected: Text = { en: 'Not connected', zh: '未能完成授权' }
const done: Text = {
  en: 'The authorisation is kept and renewed from here on. You may close this page.',
  zh: '授权已保存，之后会自动续期。现在可以关闭此页面。',
}
const linkNeeded: Text = {
  en: 'Open the link that an admin makes with `zhongkong authorize NAME`, or send the key of an admin.',
  zh: '请打开管理员用 `zhongkong authorize 名称` 生成的链接，或携带管理员的密钥。',
}
const linkOver: Text = {
  en: 'This link has ended or is not whole. Ask for another one: `zhongkong authorize NAME`.',
  zh: '该链接已过期或不完整，请让管理员重新生成：`zhongkong authorize 名称`。',
}
const linkUsed: Text = {
  en: 'The source was authorised since this link was made, and a link is good once. Ask for another one if that was not you.',
  zh: '此链接生成之后该来源已完成授权，而链接只能使用一次。若不是您本人操作，请让管理员重新生成链接。',
}

function strayed(): ZhongkongError {
  return new ZhongkongError('forbidden', 'this answer belongs to no journey that this browser began', {
    hint: {
      en: 'It was not begun in this browser, or more than a quarter of an hour ago. Begin anew, with cookies allowed.',
      zh: '此次授权不是在这个浏览器中发起的，或已超过一刻钟。请允许使用 Cookie 后重新开始。',
    },
  })
}

/** The platform's word, if it is one (RFC 6749 section 4.1.2.1); whatever else was said along is somebody's text. */
function declined(said: string): ZhongkongError {
  const errcode = /^[a-z_]{1,40}$/.test(said) ? said : 'error'
  return new ZhongkongError('authorization_refused', 'the platform sent the person back without a code', {
    upstream: { errcode, errmsg: '' },
    ...(errcode === 'access_denied'
      ? { hint: { en: 'The authorisation was declined at the platform.', zh: '授权在平台上被拒绝。' } }
      : {}),
  })
}

const html = (description: string): SurfaceDoc['answers'][number] => ({
  description,
  type: pageType.split(';')[0] ?? '',
  schema: z.string(),
})

const failures: SurfaceDoc['answers'] = {
  400: html('Nobody authorises this source, or the answer of the platform holds no code'),
  401: html('Neither a key nor a link'),
  403: html('The link has ended or was used, or the answer belongs to another browser'),
  404: html('No such source'),
  429: html(errorTable.too_many_attempts.text.en),
  502: html(errorTable.authorization_refused.text.en),
  503: html('The store or a needed token is not to be had'),
}

export const surfaces: readonly Surface[] = [
  {
    method: 'POST',
    path: '/v1/sources/{name}/authorize',
    scope: 'admin',
    handler: invite,
    doc: {
      group: 'v1',
      summary: 'Make a link by which a person without a key may authorise the source, once and within the hour.',
      body: authorizeBodySchema,
      answers: { 200: { description: 'The link', schema: authorizeSchema } },
    },
  },
  {
    method: 'GET',
    path: '/authorize/{name}',
    scope: 'own',
    handler: begin,
    doc: {
      group: 'authorize',
      summary: 'Sends a person to the platform to authorise the source. Needs the key of an admin, or `start`.',
      query: z.object({ start: z.string().optional().describe('From the link that an admin made.') }),
      answers: { 200: html('A page that leads there'), 302: { description: 'To the platform' }, ...failures },
    },
  },
  {
    method: 'GET',
    path: '/authorize/{name}/done',
    scope: 'own',
    handler: finish,
    doc: {
      group: 'authorize',
      summary: 'Where the platform sends the person back to, with a code; a page that says how it went.',
      query: z.object({ state: z.string(), code: z.string().optional(), error: z.string().optional() }),
      answers: { 200: html('Authorised'), ...failures },
    },
  },
]
