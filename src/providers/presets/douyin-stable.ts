/** Douyin's stable client token: the same one for everybody until it has expired. */
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

export const douyinStable = httpPreset({
  kind: 'douyin-stable',
  keys: douyinKeys,
  definition: ({ base_url }) => douyinDefinition(base_url, '/oauth/stable_client_token/'),
  account: ({ client_key }) => client_key,
  semantics: {
    ...sideBySide,
    reissue: 'same-until-expiry',
    limits: douyinLimits,
    inject: douyinInject,
    invalidTokenCodes: douyinInvalidTokenCodes,
  },
  api: ({ base_url }) => base_url,
  fields: douyinFields,
  errors: douyinErrors,
})
