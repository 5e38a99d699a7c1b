/** A command's failure, and how any failure is told: what is wrong on the first line, what to do under it. */
import { errorTable, ZhongkongError } from '../base/errors.ts'
import type { Language, Text } from '../base/text.ts'
import { printable } from './terminal.ts'

/** Thrown by commands. Exit code 2 is wrong usage or configuration, 1 everything else. */
export class CliFault extends Error {
  readonly text: Text
  readonly fix: Text | null
  readonly exitCode: 1 | 2

  constructor(exitCode: 1 | 2, text: Text, fix: Text | null = null, cause?: unknown) {
    super(text.en, cause === undefined ? undefined : { cause })
    this.name = 'CliFault'
    this.text = text
    this.fix = fix
    this.exitCode = exitCode
  }
}

/** Wrong usage: exit code 2. */
export function usage(text: Text, fix: Text | null = null): CliFault {
  return new CliFault(2, text, fix)
}

/** Any thrown thing as lines for stderr and an exit code. Never a stack: with `ZHONGKONG_DEBUG` set, main prints that. */
export function faultLines(thrown: unknown, language: Language): { lines: readonly string[]; exitCode: 1 | 2 } {
  const { what, fix, exitCode } = told(thrown, language)
  const label = language === 'zh' ? '错误：' : 'error: '
  const fixes = fix === null ? [] : fix.split('\n').map((line) => `  ${printable(line)}`)
  const [first = '', ...rest] = what.split('\n').map(printable)
  return { lines: [`${label}${first}`, ...rest.map((line) => `  ${line}`), ...fixes], exitCode }
}

type Told = { readonly what: string; readonly fix: string | null; readonly exitCode: 1 | 2 }

function told(thrown: unknown, language: Language): Told {
  if (thrown instanceof CliFault) {
    return { what: thrown.text[language], fix: thrown.fix?.[language] ?? null, exitCode: thrown.exitCode }
  }
  if (thrown instanceof ZhongkongError) {
    const row = errorTable[thrown.code]
    const exitCode = row.owner === 'config' ? 2 : 1
    if (language === 'en') return { what: thrown.message, fix: thrown.hint?.en ?? row.text.en, exitCode }
    // Messages are English everywhere, as logs and documents quote them; the meaning comes first.
    const { hint = null } = thrown
    return { what: row.text.zh, fix: [thrown.message, ...(hint === null ? [] : [hint.zh])].join('\n'), exitCode }
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const fix = {
    en: 'This should not happen. Set ZHONGKONG_DEBUG=1 to see where, and please report it.',
    zh: '这不应该发生。设置 ZHONGKONG_DEBUG=1 可查看出错位置，欢迎反馈。',
  }
  return { what: message, fix: fix[language], exitCode: 1 }
}
