/** Every preset there is: one line each, one file each. */
import type { Provider } from '../provider.ts'
import { baidu } from './baidu.ts'
import { douyin } from './douyin.ts'
import { douyinStable } from './douyin-stable.ts'
import { entra } from './entra.ts'
import { githubApp } from './github-app.ts'
import { googleServiceAccount } from './google-service-account.ts'
import { huaweiPush } from './huawei-push.ts'
import { kuaishou } from './kuaishou.ts'
import { oppoPush } from './oppo-push.ts'
import { paypal } from './paypal.ts'
import { qqBot } from './qq-bot.ts'
import { qqMini } from './qq-mini.ts'
import { salesforce } from './salesforce.ts'
import { tiktok } from './tiktok.ts'
import { vivoPush } from './vivo-push.ts'
import { zoom } from './zoom.ts'

export const presets: readonly Provider[] = [
  douyin,
  douyinStable,
  baidu,
  qqBot,
  qqMini,
  kuaishou,
  huaweiPush,
  vivoPush,
  oppoPush,
  tiktok,
  googleServiceAccount,
  githubApp,
  entra,
  salesforce,
  zoom,
  paypal,
]
