/** Sinks and alerts: what this version has, and what it has not. */
import { resolve } from 'node:path'
import { isJsonObject } from '../base/json.ts'
import type { FileSinkConfig } from './config.ts'
import { unmatchedGlobs } from './client-checks.ts'
import { problem, warning, type Problem } from './problem.ts'
import type { WrittenConfig } from './schema.ts'
import type { Checked } from './server-checks.ts'
import { nearest } from '../base/suggest.ts'

const kindsLater = ['redis', 'webhook']

export function checkSinks(
  written: WrittenConfig,
  directory: string,
  sourceNames: readonly string[],
): Checked<readonly FileSinkConfig[]> {
  const problems: Problem[] = []
  const sinks: FileSinkConfig[] = []
  for (const [index, sink] of written.sinks.entries()) {
    const path = ['sinks', index]
    problems.push(...unmatchedGlobs(sink.sources, [...path, 'sources'], sourceNames))
    if (sink.path === '')
      problems.push(
        problem('value_invalid', { path: [...path, 'path'] }, { en: 'The path is empty.', zh: '路径为空。' }),
      )
    const isShared =
      !sink.path.includes('{name}') && (sink.sources.length !== 1 || sink.sources[0]?.includes('*') === true)
    if (isShared)
      problems.push(
        problem('value_invalid', { path: [...path, 'path'] }, oneFile, {
          en: 'Put {name} into the path.',
          zh: '请在路径中加入 {name}。',
        }),
      )
    const mode = fileMode(sink.mode)
    if (mode === null)
      problems.push(
        problem('value_invalid', { path: [...path, 'mode'] }, badMode, {
          en: 'Write "0600" or "0640".',
          zh: '写成 "0600" 或 "0640"。',
        }),
      )
    else if ((mode & 0o007) !== 0)
      problems.push(
        warning('secret_file_open', { path: [...path, 'mode'] }, openMode, {
          en: 'Use "0640" and a group instead.',
          zh: '请改用 "0640" 并通过用户组授权。',
        }),
      )
    sinks.push({
      kind: 'file',
      sources: sink.sources,
      path: resolve(directory, sink.path),
      format: sink.format,
      mode: mode ?? 0o600,
    })
  }
  return { value: sinks, problems }
}

/** Other kinds have other keys, so they are told before the keys of `file` are looked at. */
export function laterParts(root: { readonly sinks?: unknown; readonly alerts?: unknown }): Problem[] {
  const problems: Problem[] = []
  if (Array.isArray(root.sinks)) {
    const sinks: readonly unknown[] = root.sinks
    for (const [index, sink] of sinks.entries()) {
      const kind = isJsonObject(sink) ? sink.kind : undefined
      if (typeof kind === 'string' && kind !== 'file') problems.push(otherKind(kind, index))
    }
  }
  if (Array.isArray(root.alerts) && root.alerts.length > 0) {
    const message = { en: 'Alerts come with a later version.', zh: 'alerts 将在后续版本提供。' }
    const fix = {
      en: 'Remove them for now, and watch zhongkong_* on /metrics.',
      zh: '请先删去，可通过 /metrics 的 zhongkong_* 指标监控。',
    }
    problems.push(problem('not_in_this_version', { path: ['alerts'], at: 'key' }, message, fix))
  }
  return problems
}

function otherKind(kind: string, index: number): Problem {
  const where = { path: ['sinks', index, 'kind'] }
  const fix = { en: 'This version has: file.', zh: '此版本支持：file。' }
  if (kindsLater.includes(kind)) {
    const message = {
      en: `The sink "${kind}" comes with a later version.`,
      zh: `"${kind}" 类型的 sink 将在后续版本提供。`,
    }
    return problem('not_in_this_version', where, message, fix)
  }
  const close = nearest(kind, ['file', ...kindsLater])
  const message = { en: 'There is no such kind of sink.', zh: '没有这种 sink。' }
  return problem(
    'value_invalid',
    where,
    message,
    close === null ? fix : { en: `Did you mean "${close}"?`, zh: `是否想写 "${close}"？` },
  )
}

/**
 * YAML 1.2 reads 0600 as the decimal number 600, and people mean octal: the digits count, not the number.
 */
function fileMode(mode: string | number): number | null {
  const digits = String(mode).replace(/^0o/, '')
  return /^0?[0-7]{3}$/.test(digits) ? Number.parseInt(digits, 8) : null
}

const oneFile = {
  en: 'Several sources would write the same file.',
  zh: '多个来源会写入同一个文件。',
}
const badMode = { en: 'This is no file mode.', zh: '这不是有效的文件权限。' }
const openMode = { en: 'Every user of this machine could read the tokens.', zh: '本机所有用户都能读取令牌。' }
