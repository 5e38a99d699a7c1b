/** Issues as one block for people: place, the line with a caret, what is wrong, what to do. */
import type { Language } from '../base/text.ts'
import type { ConfigIssue } from './config.ts'

const labels = {
  error: { en: 'error', zh: '错误' },
  warning: { en: 'warning', zh: '警告' },
} as const

/**
 * Lines of a block; one empty line between issues. `wrap` breaks a text to fit the terminal (default: not at all).
 */
export function issueLines(
  issues: readonly ConfigIssue[],
  language: Language,
  wrap: (text: string) => string = (text) => text,
): string[] {
  return issues.flatMap((issue, index) => [...(index === 0 ? [] : ['']), ...oneIssue(issue, language, wrap)])
}

/** The same as one text. */
export function formatIssues(issues: readonly ConfigIssue[], language: Language): string {
  return issueLines(issues, language).join('\n')
}

function oneIssue(issue: ConfigIssue, language: Language, wrap: (text: string) => string): string[] {
  const { file, line, column, severity, message, fix, excerpt } = issue
  const colon = language === 'zh' ? '：' : ': '
  const indent = (text: string): string[] =>
    wrap(text)
      .split('\n')
      .map((one) => `  ${one}`)
  return [
    `${file}:${line}:${column} ${labels[severity][language]}${issue.path === '' ? '' : ` ${issue.path}`}`,
    ...(excerpt === null ? [] : gutter(line, excerpt)),
    ...indent(message[language]),
    ...(fix === null ? [] : indent(`${language === 'zh' ? '解决办法' : 'fix'}${colon}${fix[language]}`)),
  ]
}

function gutter(line: number, { text, column }: { readonly text: string; readonly column: number }): string[] {
  const number = String(line)
  const before = text.slice(0, column - 1)
  // A wide character moves the caret by two columns.
  const padding = before.replace(/[\u1100-\uffdc]/g, '  ').replace(/[^ ]/g, ' ')
  return [`  ${number} | ${text}`, `  ${' '.repeat(number.length)} | ${padding}^`]
}
