/** WeChat's page on which the administrator of an account authorises a third-party platform. */
import type { Call, Journey, Link } from './provider.ts'
import { unknown } from './outcome.ts'
import { askComponent, isFailed, type Component } from './wechat-open-call.ts'

export type PageSettings = {
  readonly appid: string
  readonly auth_type: 1 | 2 | 3
  readonly base_url: string
  /** In place of WeChat's own hosts. */
  readonly page_url?: string | undefined
}

const desktop = { host: 'https://mp.weixin.qq.com', path: '/cgi-bin/componentloginpage' }
const mobile = { host: 'https://open.weixin.qq.com', path: '/wxaopen/safe/bindcomponent' }

/** A pre_auth_code is good for one authorisation, so each link gets its own. */
export async function loginPage(settings: PageSettings, call: Call, journey: Journey): Promise<Link> {
  const code = await askComponent(
    ownComponent(settings, call),
    { api: 'api_create_preauthcode', body: {} },
    call,
    (body) =>
      typeof body.pre_auth_code === 'string' && body.pre_auth_code !== ''
        ? { pre_auth_code: body.pre_auth_code }
        : unknown('token_unusable', 'the answer holds no usable pre_auth_code'),
  )
  if (isFailed(code)) return { refused: code }
  const page = journey.device === 'mobile' ? mobile : desktop
  const query = new URLSearchParams({
    ...(journey.device === 'mobile' ? { action: 'bindcomponent', no_scan: '1' } : {}),
    component_appid: settings.appid,
    pre_auth_code: code.pre_auth_code,
    redirect_uri: withState(journey),
    auth_type: String(settings.auth_type),
  })
  const fragment = journey.device === 'mobile' ? '#wechat_redirect' : ''
  return { url: `${settings.page_url ?? page.host}${page.path}?${query.toString()}${fragment}` }
}

/** The component asks for itself with the token that it holds. */
export function ownComponent({ appid, base_url }: PageSettings, { held }: Call): Component {
  return { name: null, appid, base_url, token: held?.token ?? '' }
}

/** WeChat has no `state`; but it keeps what stands in the address, and adds `auth_code` and `expires_in` to it. */
function withState({ redirectUri, state }: Journey): string {
  const url = new URL(redirectUri)
  url.searchParams.set('state', state)
  return url.toString()
}
