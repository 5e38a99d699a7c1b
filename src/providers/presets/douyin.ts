/** Douyin's client_token: each call gives a new one, and the one before dies five minutes later. */
import {
  douyinDefinition,
  douyinErrors,
  douyinFields,
  douyinInject,
  douyinInvalidTokenCodes,
  douyinKeys,
  douyinLimits,
} from './douyin-open.ts'
import { httpPreset, sideBySide } from './preset.ts'

export const douyin = httpPreset({
  kind: 'douyin',
  keys: douyinKeys,
  definition: ({ base_url }) => douyinDefinition(base_url, '/oauth/client_token/'),
  account: ({ client_key }) => client_key,
  semantics: {
    ...sideBySide,
    reissue: 'retires-previous',
    graceMs: 300_000,
    limits: douyinLimits,
    inject: douyinInject,
    invalidTokenCodes: douyinInvalidTokenCodes,
  },
  api: ({ base_url }) => base_url,
  fields: douyinFields,
  errors: douyinErrors,
})
