/**
 * WeChat's page on which an administrator authorises a third-party platform, desktop and mobile: here it offers the accounts
 * at once, and whoever follows a link has authorised.
 */
import { openPlatformOf } from './open-platform.ts'
import type { World } from './world.ts'

const paths = ['/cgi-bin/componentloginpage', '/wxaopen/safe/bindcomponent']

/** The page, or the way back with a code; null when the address is another. */
export function loginPage(world: World, url: URL): Response | null {
  const path = url.pathname.replace(/^\/wechat(?=\/)/, '')
  if (!paths.includes(path)) return null
  const query = url.searchParams
  const state = world.find('wechat-component', query.get('component_appid'))
  const back = query.get('redirect_uri') ?? ''
  if (state === null || !URL.canParse(back)) return page(400, '<h1>The parameters are wrong</h1>')
  const platform = openPlatformOf(world, state)
  if (!platform.isPreAuthCode(query.get('pre_auth_code')))
    return page(400, '<h1>The pre_auth_code is not good (any more)</h1>')
  const chosen = query.get('choose')
  if (chosen === null) return page(200, offers(url, state.account.offers))
  const { code, livesMs } = platform.authorise(chosen, query.get('pre_auth_code') ?? '')
  const address = new URL(back)
  address.searchParams.set('auth_code', code)
  address.searchParams.set('expires_in', String(livesMs / 1_000))
  return new Response(null, { status: 302, headers: { location: address.href } })
}

function offers(url: URL, appids: readonly string[]): string {
  const items = appids.map((appid) => {
    const address = new URL(url)
    address.searchParams.set('choose', appid)
    return `<li><a href="${escaped(address.pathname + address.search)}">${escaped(appid)}</a></li>`
  })
  return `<h1>Simulated: which account authorises the platform?</h1><ul>${items.join('')}</ul>`
}

function page(status: number, content: string): Response {
  const text = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>WeChat, simulated</title></head><body>${content}</body></html>\n`
  return new Response(text, { status, headers: { 'content-type': 'text/html; charset=utf-8' } })
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)
}
