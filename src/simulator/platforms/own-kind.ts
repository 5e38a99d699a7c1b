/** Platforms that answer in a way of their own. */
import { createHash } from 'node:crypto'
import { decodeJwt, issuerOf, jwtFault } from '../jwt.ts'
import type { Asked, Checking, Platform, Refused } from './platform.ts'

type DouyinCall = Pick<Platform, 'path' | 'reissue'>

function douyinLike({ path, reissue }: DouyinCall): Platform {
  return {
    method: 'POST',
    path,
    reads: 'json',
    who: ({ param }) => param('client_key'),
    nobody: { code: 10003, text: 'client_key错误' },
    check: ({ asked, account }) => {
      if (asked.param('grant_type') !== 'client_credential') return { code: 10002, text: '参数错误' }
      return asked.param('client_secret') === account.secret ? null : { code: 10013, text: 'client_secret错误' }
    },
    refuse: ({ code, text }) => ({
      status: 200,
      body: { data: { access_token: '', description: text, error_code: code, expires_in: 0 }, message: 'error' },
    }),
    good: ({ value, seconds }) => ({
      data: { access_token: value, expires_in: seconds, error_code: 0, description: '' },
      message: 'success',
    }),
    tokenAt: ['data', 'access_token'],
    lifetimeAt: ['data', 'expires_in'],
    prefix: 'clt.',
    length: 64,
    reissue,
    lifeSeconds: 7_200,
    shown: { header: 'access-token', prefix: '' },
    badToken: {
      status: 200,
      body: { data: { error_code: 2190008, description: 'access_token已过期' } },
      code: 2190008,
    },
  }
}

const qqBot: Platform = {
  method: 'POST',
  path: /^\/app\/getAppAccessToken$/,
  reads: 'json',
  who: ({ param }) => param('appId'),
  nobody: { code: 100007, text: 'appid invalid' },
  check: ({ asked, account }) =>
    asked.param('clientSecret') === account.secret ? null : { code: 100016, text: 'invalid appid or secret' },
  refuse: ({ code, text }) => ({ status: 200, body: { code, message: text } }),
  good: ({ value, seconds }) => ({ access_token: value, expires_in: String(seconds) }),
  tokenAt: ['access_token'],
  lifetimeAt: ['expires_in'],
  prefix: '',
  length: 120,
  reissue: 'same-until-window',
  lifeSeconds: 7_200,
  windowSeconds: 60,
  shown: { header: 'authorization', prefix: 'QQBot ' },
  badToken: { status: 401, body: { code: 11244, message: 'token not exist or expire' }, code: 11244 },
}

const qqMini: Platform = {
  method: 'GET',
  path: /^\/api\/getToken$/,
  reads: 'query',
  who: ({ param }) => param('appid'),
  nobody: { code: 40013, text: 'invalid appid' },
  check: ({ asked, account }) => {
    if (asked.param('grant_type') !== 'client_credential') return { code: 40002, text: 'invalid grant_type' }
    return asked.param('secret') === account.secret ? null : { code: 40001, text: 'invalid secret' }
  },
  refuse: ({ code, text }) => ({ status: 200, body: { errcode: code, errmsg: text } }),
  good: ({ value, seconds }) => ({ access_token: value, expires_in: seconds, errcode: 0, errmsg: '' }),
  tokenAt: ['access_token'],
  lifetimeAt: ['expires_in'],
  prefix: '',
  length: 128,
  reissue: 'retires-previous',
  lifeSeconds: 7_200,
  shown: { query: 'access_token' },
  badToken: { status: 200, body: { errcode: 40001, errmsg: 'invalid credential' }, code: 40001 },
}

const kuaishou: Platform = {
  method: 'POST',
  path: /^\/oauth2\/access_token$/,
  reads: 'form',
  who: ({ param }) => param('app_id'),
  nobody: { code: 100200101, text: 'invalid app_id or app_secret' },
  check: ({ asked, account }) => {
    if (asked.param('grant_type') !== 'client_credentials') return { code: 100200100, text: 'invalid parameters' }
    return asked.param('app_secret') === account.secret
      ? null
      : { code: 100200101, text: 'invalid app_id or app_secret' }
  },
  refuse: ({ code, text }) => ({ status: 200, body: { result: code, error: 'error', error_msg: text } }),
  good: ({ value, seconds }) => ({ result: 1, access_token: value, expires_in: seconds, token_type: 'bearer' }),
  tokenAt: ['access_token'],
  lifetimeAt: ['expires_in'],
  prefix: 'Chlvc',
  length: 96,
  reissue: 'independent',
  lifeSeconds: 172_800,
  shown: { query: 'access_token' },
  badToken: { status: 200, body: { result: 100200109, error_msg: 'invalid access_token' }, code: 100200109 },
}

const hex = (algorithm: string, text: string): string => createHash(algorithm).update(text, 'utf8').digest('hex')

/** The clock of the caller, in milliseconds, may be ten minutes off. */
function isOutOfTime(timestamp: string, now: number): boolean {
  return !/^\d{13}$/.test(timestamp) || Math.abs(Number(timestamp) - now) > 600_000
}

/** `second` is the appKey. */
const vivo: Platform = {
  method: 'POST',
  path: /^\/message\/auth$/,
  reads: 'json',
  who: ({ param }) => param('appId'),
  nobody: { code: 10205, text: 'appId 不存在' },
  check: checkVivo,
  refuse: ({ code, text }) => ({ status: 200, body: { result: code, desc: text } }),
  good: ({ value }) => ({ result: 0, desc: '请求成功', authToken: value }),
  tokenAt: ['authToken'],
  prefix: '',
  length: 40,
  reissue: 'independent',
  lifeSeconds: 86_400,
  shown: { header: 'authToken', prefix: '' },
  badToken: { status: 200, body: { result: 10_000, desc: '权限认证失败' }, code: 10_000 },
}

function checkVivo({ asked, account, now }: Checking): Refused | null {
  const [appId, appKey, timestamp, sign] = ['appId', 'appKey', 'timestamp', 'sign'].map(asked.param)
  // It wants numbers, not texts of digits.
  if (typeof asked.raw('appId') !== 'number') return { code: 10200, text: 'appId 不能为空' }
  if (appKey !== account.second) return { code: 10202, text: 'appKey 不合法' }
  if (typeof asked.raw('timestamp') !== 'number') return { code: 10203, text: 'timestamp 不能为空' }
  if (isOutOfTime(timestamp ?? '', now)) return { code: 10207, text: 'timestamp 不合法' }
  const right = hex('md5', `${appId}${appKey}${timestamp}${account.secret}`)
  return sign === right ? null : { code: 10206, text: 'sign 不合法' }
}

const oppo: Platform = {
  method: 'POST',
  path: /^\/server\/v1\/auth$/,
  reads: 'form',
  who: ({ param }) => param('app_key'),
  nobody: { code: 14, text: 'Invalid App Key' },
  check: ({ asked, account, now }) => {
    const timestamp = asked.param('timestamp')
    if (isOutOfTime(timestamp, now)) return { code: 19, text: 'Invalid Timestamp' }
    const right = hex('sha256', `${account.id}${timestamp}${account.secret}`)
    return asked.param('sign') === right ? null : { code: 16, text: 'Invalid Signature' }
  },
  refuse: ({ code, text }) => ({ status: 200, body: { code, message: text } }),
  good: ({ value, until }) => ({
    code: 0,
    message: 'Success',
    data: { auth_token: value, create_time: Date.parse(until) - 86_400_000 },
  }),
  tokenAt: ['data', 'auth_token'],
  prefix: '',
  length: 40,
  reissue: 'independent',
  lifeSeconds: 86_400,
  shown: { header: 'auth_token', prefix: '' },
  badToken: { status: 200, body: { code: 11, message: 'Invalid AuthToken' }, code: 11 },
}

/** The account is the installation, known by its number; `second` is the app. */
const github: Platform = {
  method: 'POST',
  path: /^\/app\/installations\/(\d+)\/access_tokens$/,
  reads: 'nothing',
  who: ({ caught }) => caught[0] ?? '',
  nobody: { code: 404, text: 'Not Found' },
  check: checkGithub,
  refuse: ({ code, text }) => ({
    status: typeof code === 'number' && code >= 400 && code < 600 ? code : 403,
    body: { message: text, documentation_url: 'https://docs.github.com/rest', status: String(code) },
  }),
  good: ({ value, until }) => ({
    token: value,
    expires_at: until.replace(/\.\d+Z$/, 'Z'),
    permissions: { contents: 'read', metadata: 'read' },
    repository_selection: 'all',
  }),
  goodStatus: 201,
  tokenAt: ['token'],
  lifetimeAt: ['expires_at'],
  prefix: 'ghs_',
  length: 40,
  reissue: 'independent',
  lifeSeconds: 3_600,
  shown: { header: 'authorization', prefix: 'Bearer ' },
  badToken: { status: 401, body: { message: 'Bad credentials', status: '401' }, code: 401 },
}

function checkGithub({ asked, account, now }: Checking): Refused | null {
  if ((asked.headers.get('user-agent') ?? '') === '')
    return { code: 403, text: 'Request forbidden by administrative rules.' }
  const unreadable = { code: 401, text: 'A JSON web token could not be decoded' }
  const jwt = decodeJwt(bearerOf(asked))
  if (jwt === null || account.public_key === undefined) return unreadable
  // GitHub takes no clock but its own for the beginning, and ten minutes for the end.
  const wanted = { publicKey: account.public_key, algorithms: ['RS256'], now, lifeSecondsMax: 600 }
  const fault = jwtFault(jwt, wanted)
  if (fault === 'time') return { code: 401, text: "'Expiration time' claim ('exp') is too far in the future" }
  if (fault !== null) return unreadable
  return issuerOf(bearerOf(asked)) === account.second ? null : { code: 404, text: 'Integration not found' }
}

function bearerOf({ headers }: Asked): string {
  return /^bearer +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1] ?? ''
}

export const ownKindPlatforms = {
  douyin: douyinLike({ path: /^\/oauth\/client_token\/$/, reissue: 'retires-previous' }),
  'douyin-stable': douyinLike({ path: /^\/oauth\/stable_client_token\/$/, reissue: 'same-until-expiry' }),
  'qq-bot': qqBot,
  'qq-mini': qqMini,
  kuaishou,
  'vivo-push': vivo,
  'oppo-push': oppo,
  'github-app': github,
} as const
