/** The platforms that are played by name. */
export const platformNames = [
  'douyin',
  'douyin-stable',
  'baidu',
  'qq-bot',
  'qq-mini',
  'kuaishou',
  'huawei-push',
  'vivo-push',
  'oppo-push',
  'tiktok',
  'google-service-account',
  'github-app',
  'entra',
  'salesforce',
  'zoom',
  'paypal',
] as const

export type PlatformName = (typeof platformNames)[number]
