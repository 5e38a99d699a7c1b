/** Which of the two languages the terminal speaks. */
import type { Language } from '../base/text.ts'

/** `ZHONGKONG_LANG` wins; otherwise the first of the POSIX variables that is set, in their own order of precedence. */
export function languageOf(environment: Readonly<Record<string, string | undefined>>): Language {
  const said = ['ZHONGKONG_LANG', 'LC_ALL', 'LC_MESSAGES', 'LANG'].map((name) => environment[name])
  const chosen = said.find((value) => value !== undefined && value !== '')
  return chosen?.toLowerCase().startsWith('zh') === true ? 'zh' : 'en'
}
