/** Where `${NAME}` looks: the process's environment first, then a `.env` file beside the configuration. */
import type { ConfigIssue } from './config.ts'
import { parseEnvironmentFile } from './environment-file.ts'
import type { Lookup } from './interpolate.ts'
import { isOpenToOthers, readText, type ReadFile } from './read-file.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export type ReadEnvironment = {
  readonly lookup: Lookup
  readonly names: readonly string[]
  readonly issues: readonly ConfigIssue[]
}

const environmentBytesMax = 262_144

/** `shown` is how the file is called in issues. */
export async function readEnvironment(
  readFile: ReadFile,
  file: { readonly path: string; readonly shown: string },
  outer: Environment,
): Promise<ReadEnvironment> {
  const { path, shown } = file
  const own = (name: string): string | undefined => (Object.hasOwn(outer, name) ? outer[name] : undefined)
  const read = await readText(readFile, path, environmentBytesMax)
  if (!read.ok) {
    const issues = read.reason === 'missing' ? [] : [unreadable(shown, read.because)]
    return { lookup: own, names: Object.keys(outer), issues }
  }
  const { values, faults } = parseEnvironmentFile(read.text)
  const issues = faults.map(({ line, column }) => badLine(shown, line, column))
  if (isOpenToOthers(read.mode) && values.size > 0) issues.push(openFile(shown))
  return {
    lookup: (name) => own(name) ?? values.get(name),
    names: [...new Set([...Object.keys(outer), ...values.keys()])],
    issues,
  }
}

// No excerpts here: a line of this file is a secret more often than not.
const base = { path: '', excerpt: null } as const

function unreadable(file: string, because: ConfigIssue['message']): ConfigIssue {
  const message = { en: `The .env file cannot be used: ${because.en}.`, zh: `.env 文件无法使用：${because.zh}。` }
  return { ...base, severity: 'error', code: 'file_unreadable', file, line: 1, column: 1, message, fix: null }
}

function badLine(file: string, line: number, column: number): ConfigIssue {
  return {
    ...base,
    severity: 'error',
    code: 'env_file_syntax',
    file,
    line,
    column,
    message: {
      en: 'This line is no NAME=VALUE, or a quote is not closed.',
      zh: '此行不是 NAME=VALUE，或引号没有闭合。',
    },
    fix: { en: "Write NAME='VALUE', or begin the line with #.", zh: "写成 NAME='VALUE'，或以 # 开头作为注释。" },
  }
}

function openFile(file: string): ConfigIssue {
  return {
    ...base,
    severity: 'warning',
    code: 'env_file_open',
    file,
    line: 1,
    column: 1,
    message: { en: 'Other users of this machine may read this file.', zh: '本机其他用户可以读取该文件。' },
    fix: { en: 'chmod 600 .env', zh: 'chmod 600 .env' },
  }
}
