/** The one list of routes. Whatever is served, documented, admitted or counted is in it. */
import type { Surface } from './surface.ts'
import { surfaces as authorize } from './surfaces/authorize.ts'
import { surfaces as callback } from './surfaces/callback.ts'
import { surfaces as dingtalk } from './surfaces/dingtalk.ts'
import { surfaces as feishu } from './surfaces/feishu.ts'
import { surfaces as operating } from './surfaces/operating.ts'
import { surfaces as tokenboy } from './surfaces/tokenboy.ts'
import { surfaces as v1Events } from './surfaces/v1-events.ts'
import { surfaces as v1Recovery } from './surfaces/v1-recovery.ts'
import { surfaces as v1Sinks } from './surfaces/v1-sinks.ts'
import { surfaces as v1Sources } from './surfaces/v1-sources.ts'
import { surfaces as v1Tokens } from './surfaces/v1-tokens.ts'
import { surfaces as wechatTokenServer } from './surfaces/wechat-token-server.ts'
import { surfaces as wechatOpen } from './surfaces/wechat-open.ts'
import { surfaces as wechat } from './surfaces/wechat.ts'
import { surfaces as wecomService } from './surfaces/wecom-service.ts'
import { surfaces as wecom } from './surfaces/wecom.ts'

export const routes: readonly Surface[] = [
  ...v1Tokens,
  ...v1Sources,
  ...v1Events,
  ...v1Sinks,
  ...v1Recovery,
  ...operating,
  ...tokenboy,
  ...wechatTokenServer,
  ...wechat,
  ...wechatOpen,
  ...wecom,
  ...wecomService,
  ...dingtalk,
  ...feishu,
  ...callback,
  ...authorize,
]
