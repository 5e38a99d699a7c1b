/** Options as commands read them: texts, flags and numbers, with a clear answer when they are not. */
import type { CommandInput } from './command.ts'
import { usage } from './fault.ts'

export function textOption(input: CommandInput, name: string): string | undefined {
  const value = input.options[name]
  return typeof value === 'string' ? value : undefined
}

export function flagOption(input: CommandInput, name: string): boolean {
  return input.options[name] === true
}

/** A required positional argument; commander has made sure that it is there. */
export function argument(input: CommandInput, index: number): string {
  const value = input.args[index]
  if (value === undefined) throw usage({ en: 'an argument is missing', zh: '缺少参数' })
  return value
}

export type Range = { readonly min: number; readonly max: number }

/** A whole number within `range`, or undefined when the option was not given. */
export function numberOption(input: CommandInput, name: string, range: Range): number | undefined {
  const text = textOption(input, name)
  if (text === undefined) return undefined
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= range.min && number <= range.max) return number
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  const span = `${range.min}–${range.max}`
  throw usage(
    {
      en: `${flag} is "${text}"; it must be a whole number, ${span}`,
      zh: `${flag} 的值 "${text}" 应为整数（${span}）`,
    },
    null,
  )
}

/** A TCP port; 0 lets the system choose. */
export function portOption(input: CommandInput): number | undefined {
  return numberOption(input, 'port', { min: 0, max: 65_535 })
}
