import { expect, it } from 'vitest'
import { languageOf } from './language.ts'

it.each([
  [{}, 'en'],
  [{ LANG: 'zh_CN.UTF-8' }, 'zh'],
  [{ LANG: 'C.UTF-8' }, 'en'],
  [{ LANG: 'en_US.UTF-8', LC_MESSAGES: 'zh_TW' }, 'zh'],
  [{ LANG: 'zh_CN.UTF-8', LC_ALL: 'C' }, 'en'],
  [{ LANG: 'zh_CN.UTF-8', LC_ALL: '' }, 'zh'],
  [{ LC_ALL: 'en_US.UTF-8', ZHONGKONG_LANG: 'zh' }, 'zh'],
  [{ LC_ALL: 'zh_CN.UTF-8', ZHONGKONG_LANG: 'en' }, 'en'],
])('%j speaks %s', (environment, language) => {
  expect(languageOf(environment)).toBe(language)
})
