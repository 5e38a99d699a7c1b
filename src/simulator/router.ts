/**
 * Which upstream a request is for. WeChat and WeCom share paths, so each has a base address of its own (`/wechat`,
 * `/wecom`, `/dingtalk`, `/feishu`); at the root, and under the real host names, the path, the host or the token decides.
 */
import { createDingtalk } from './dingtalk.ts'
import { createFeishu } from './feishu.ts'
import { createGeneric } from './generic.ts'
import { createOauth2 } from './oauth2.ts'
import { createOpenPlatform } from './open-platform-calls.ts'
import { createPlatforms } from './platforms/play.ts'
import type { Upstream } from './upstream.ts'
import { createWechat } from './wechat.ts'
import { createWecom } from './wecom.ts'
import type { World } from './world.ts'

export type Destination = { readonly upstream: Upstream; readonly path: string }
/** Null: nothing is there. */
export type Router = (url: URL) => Destination | null

const wecomOnly = /^\/cgi-bin\/(?:gettoken|get_jsapi_ticket|ticket\/get|service\/.*|corpgroup\/.*)$|^\/3rdapp\//
const wechatPaths = /^\/(?:cgi-bin|wxa|wxaapi|sns|card|datacube|customservice|semantic|shop|channels|tcb|product)\//
const wecomPaths = /^\/(?:cgi-bin|3rdapp)\//
const feishuPaths = /^\/open-apis\//
/** Below its own address every path is DingTalk's; at the root only those that nobody else has. */
const dingtalkOnly = /^\/(?:gettoken$|get_jsapi_ticket$|topapi\/|v\d+\.\d+\/)/
const dingtalkHosts = new Set(['api.dingtalk.com', 'oapi.dingtalk.com'])

export function createRouter(world: World): Router {
  const wechat = createWechat(world)
  const openPlatform = createOpenPlatform(world)
  const wecom = createWecom(world)
  const dingtalk = createDingtalk(world)
  const feishu = createFeishu(world)
  const oauth2 = createOauth2(world)
  const generic = createGeneric(world)
  const platforms = createPlatforms(world)

  const to = (upstream: Upstream, path: string, known: RegExp): Destination | null =>
    known.test(path) ? { upstream, path } : null

  /** The Open Platform has calls of its own, and those of the accounts that authorised it. */
  const toWechat = (url: URL, path: string): Destination | null => {
    const owner = world.book.get(url.searchParams.get('access_token') ?? '')?.channel.account ?? null
    const isOpen = path.startsWith('/cgi-bin/component/') || world.find('wechat-component', owner) !== null
    return to(isOpen ? openPlatform : wechat, path, wechatPaths)
  }

  return (url) => {
    const path = url.pathname
    if (path.startsWith('/wechat/')) return toWechat(url, path.slice('/wechat'.length))
    if (path.startsWith('/wecom/')) return to(wecom, path.slice('/wecom'.length), wecomPaths)
    if (path.startsWith('/dingtalk/')) return { upstream: dingtalk, path: path.slice('/dingtalk'.length) }
    if (path.startsWith('/feishu/')) return to(feishu, path.slice('/feishu'.length), feishuPaths)
    if (dingtalkHosts.has(url.hostname) || dingtalkOnly.test(path)) return { upstream: dingtalk, path }
    if (path.startsWith('/open-apis/')) return { upstream: feishu, path }
    if (path.startsWith('/generic/')) return { upstream: generic, path }
    if (path.startsWith('/platform/')) return { upstream: platforms, path: path.slice('/platform'.length) }
    if (path.startsWith('/.well-known/')) return { upstream: oauth2, path }
    if (path === '/oauth2/authorize') return { upstream: oauth2, path }
    if (path === '/oauth2/token' || /^\/oauth2\/resource(?:\/|$)/.test(path)) return { upstream: oauth2, path }
    const owner = world.book.get(url.searchParams.get('access_token') ?? '')?.channel.account ?? null
    const isWecom =
      url.hostname === 'qyapi.weixin.qq.com' || wecomOnly.test(path) || world.find('wecom', owner) !== null
    return isWecom ? to(wecom, path, wecomPaths) : toWechat(url, path)
  }
}
