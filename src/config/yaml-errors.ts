/** What the YAML parser complains about, in words for people. Its own messages are not shown: they quote the text. */
import type { Document, ErrorCode } from 'yaml'
import type { Text } from '../base/text.ts'
import { bareBraces, bareBracesFix, bareBracesMessage } from './bare-braces.ts'
import { problem, type Problem } from './problem.ts'

/** The syntax errors of a document, one for each line, in order. */
export function syntaxProblems(document: Document, source: string, lineOf: (offset: number) => number): Problem[] {
  const problems: Problem[] = []
  const lines = new Set<number>()
  for (const { code, pos } of [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])) {
    if (code === 'RESOURCE_EXHAUSTION') return [problem('yaml_too_deep', { path: [], at: pos[0] }, tooDeep)]
    const line = lineOf(pos[0])
    if (lines.has(line)) continue
    lines.add(line)
    const brace = bareBraces(source, pos[0])
    const { message, fix } = brace === null ? (explanations[code] ?? unknown) : braces
    problems.push(problem('yaml_syntax', { path: [], at: brace ?? pos[0] }, message, fix))
  }
  return problems
}

type Explanation = { readonly message: Text; readonly fix: Text }

const tooDeep: Text = { en: 'Nested too deeply to be a configuration.', zh: '嵌套过深，不像是配置文件。' }
const unknown: Explanation = {
  message: { en: 'This is not valid YAML.', zh: '这里不是有效的 YAML。' },
  fix: {
    en: 'Look at the indentation, the colons and the quotes of this line and the one above.',
    zh: '请检查本行与上一行的缩进、冒号和引号。',
  },
}
const braces: Explanation = { message: bareBracesMessage, fix: bareBracesFix }

const twoColons: Explanation = {
  message: { en: 'A second "key:" where a value should end.', zh: '值尚未结束，又出现了一个 "键:"。' },
  fix: {
    en: 'Put quotes around the value if the colon belongs to it; otherwise mend the indentation.',
    zh: '若冒号属于值，请给值加引号；否则请修正缩进。',
  },
}

const explanations: Partial<Record<ErrorCode, Explanation>> = {
  BLOCK_AS_IMPLICIT_KEY: twoColons,
  MULTILINE_IMPLICIT_KEY: twoColons,
  TAB_AS_INDENT: {
    message: { en: 'A tab is used as indentation.', zh: '使用了制表符缩进。' },
    fix: { en: 'Use spaces.', zh: '请改用空格。' },
  },
  BAD_INDENT: {
    message: { en: 'The indentation does not fit, or a bracket is not closed.', zh: '缩进不一致，或括号没有闭合。' },
    fix: {
      en: 'Give keys of one level the same number of spaces, and close every "{" and "[".',
      zh: '同一层的键使用相同数量的空格，并闭合每个 "{" 和 "["。',
    },
  },
  MISSING_CHAR: {
    message: { en: 'A quote, bracket, comma or space is missing.', zh: '缺少引号、括号、逗号或空格。' },
    fix: {
      en: 'Close the quote or bracket; after "key:" there must be a space.',
      zh: '闭合引号或括号；"键:" 之后必须有空格。',
    },
  },
  BAD_SCALAR_START: {
    message: { en: 'A value cannot begin with this character.', zh: '值不能以该字符开头。' },
    fix: { en: 'Put quotes around the value.', zh: '请给值加上引号。' },
  },
  BAD_DQ_ESCAPE: {
    message: { en: 'This backslash sequence is not known in double quotes.', zh: '双引号中不支持这个反斜杠转义。' },
    fix: { en: "Use single quotes: '…'.", zh: "请改用单引号：'…'。" },
  },
  MULTIPLE_DOCS: {
    message: { en: 'A second document begins here; only one is read.', zh: '此处开始了第二个文档，只能有一个。' },
    fix: { en: 'Remove the line "---".', zh: '删除 "---" 这一行。' },
  },
  TAG_RESOLVE_FAILED: {
    message: { en: 'Tags such as "!name" are not used here.', zh: '此处不使用 "!name" 这样的标签。' },
    fix: { en: 'Remove the tag, or put quotes around the value.', zh: '删除标签，或给值加上引号。' },
  },
}
