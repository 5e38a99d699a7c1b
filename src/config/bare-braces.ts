/**
 * Braces that belong to a template or to `${NAME}` and that YAML takes for a mapping, because the value around them has no
 * quotes. It is the commonest slip in a configuration with templates, and YAML's own complaint tells nobody.
 */
import type { Text } from '../base/text.ts'

/** The offset of the first such brace on the line of `offset`; null when there is none. */
export function bareBraces(source: string, offset: number): number | null {
  const start = offset === 0 ? 0 : source.lastIndexOf('\n', offset - 1) + 1
  const end = source.indexOf('\n', start)
  const line = source.slice(start, end === -1 ? undefined : end)
  // What is quoted and what is a comment keeps its length, so that places stay places.
  const bare = line.replace(/"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|(?<=^|\s)#.*/g, (part) => ' '.repeat(part.length))
  const found = /\{\{|(?<=[^\s{}[\],:])\{/.exec(bare)
  return found === null ? null : start + found.index
}

export const bareBracesMessage: Text = {
  en: 'YAML takes these braces for a mapping, because the value has no quotes.',
  zh: '值没有加引号，YAML 会把其中的花括号当成映射。',
}
export const bareBracesFix: Text = {
  en: 'Put quotes around the whole value, as in "{{weixin}}" or "${NAME}".',
  zh: '请给整个值加上引号，例如 "{{weixin}}" 或 "${NAME}"。',
}
