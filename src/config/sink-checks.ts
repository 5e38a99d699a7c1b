/** Sinks: what each kind takes; and alerts, which this version has not. */
import { resolve } from 'node:path'
import { nearest } from '../base/suggest.ts'
import { isJsonObject } from '../base/json.ts'
import type { FileSinkConfig, SinkConfig } from '../model/sink.ts'
import type { Source } from '../model/source.ts'
import { unmatchedGlobs } from './client-checks.ts'
import { problem, warning, type Path, type Problem } from './problem.ts'
import { checkKubernetes, checkRedis, checkWebhook } from './remote-sink-checks.ts'
import { sinkKinds, type WrittenConfig, type WrittenSink } from './schema.ts'
import type { Checked } from './server-checks.ts'

export type SinkSurroundings = {
  readonly directory: string
  /** Every name in the file, broken sources included. */
  readonly sourceNames: readonly string[]
  readonly sources: readonly Source[]
}

export function checkSinks(written: WrittenConfig, around: SinkSurroundings): Checked<readonly SinkConfig[]> {
  const problems: Problem[] = []
  const names = new Set<string>()
  const sinks = written.sinks.map((sink, index) => {
    const path = ['sinks', index]
    problems.push(...unmatchedGlobs(sink.sources, [...path, 'sources'], around.sourceNames))
    problems.push(...nameProblems(sink, names, path))
    const checked = checkOne(sink, path, { ...around, isTrusted: written.server.trusted_network })
    problems.push(...checked.problems)
    const { name } = sink
    return name === undefined ? checked.value : { ...checked.value, name }
  })
  return { value: sinks, problems }
}

export type SinkCheck = SinkSurroundings & { readonly isTrusted: boolean }

function checkOne(sink: WrittenSink, path: Path, around: SinkCheck): Checked<SinkConfig> {
  switch (sink.kind) {
    case 'file':
      return checkFile(sink, path, around)
    case 'redis':
      return checkRedis(sink, path, around)
    case 'webhook':
      return checkWebhook(sink, path)
    case 'kubernetes':
      return checkKubernetes(sink, path, around)
  }
}

function nameProblems({ name }: WrittenSink, names: Set<string>, path: Path): Problem[] {
  if (name === undefined) return []
  const where = { path: [...path, 'name'] }
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(name)) return [problem('value_invalid', where, badName)]
  if (names.has(name)) return [problem('value_invalid', where, sharedName)]
  names.add(name)
  return []
}

/** Whether the globs may name several sources. */
export function isForSeveral(sources: readonly string[]): boolean {
  return sources.length !== 1 || sources[0]?.includes('*') === true
}

function checkFile(
  sink: Extract<WrittenSink, { kind: 'file' }>,
  path: Path,
  { directory }: SinkCheck,
): Checked<FileSinkConfig> {
  const problems: Problem[] = []
  const tell = (key: string, message: Problem['message'], fix: Problem['fix'] = null): void => {
    problems.push(problem('value_invalid', { path: [...path, key] }, message, fix))
  }
  if (sink.path === '') tell('path', emptyPath)
  if (sink.path.includes('\0')) tell('path', badPath)
  if (!sink.path.includes('{name}') && isForSeveral(sink.sources)) tell('path', oneFile, namedFile)
  const mode = fileMode(sink.mode)
  if (mode === null) tell('mode', badMode, modeFix)
  else if ((mode & 0o007) !== 0)
    problems.push(warning('secret_file_open', { path: [...path, 'mode'] }, openMode, openModeFix))
  for (const key of ['owner', 'group'] as const) {
    const named = sink[key]
    if (named !== undefined && !/^(\d{1,10}|[A-Za-z_][\w.-]{0,63})$/.test(String(named))) tell(key, badOwner, ownerFix)
  }
  const value: FileSinkConfig = {
    kind: 'file',
    sources: sink.sources,
    path: resolve(directory, sink.path),
    format: sink.format,
    mode: mode ?? 0o600,
    ...(sink.owner === undefined ? {} : { owner: String(sink.owner) }),
    ...(sink.group === undefined ? {} : { group: String(sink.group) }),
  }
  return { value, problems }
}

/** Sinks of no known kind, told before their keys are looked at, as each kind has its own; and alerts. */
export function kindProblems(root: { readonly sinks?: unknown; readonly alerts?: unknown }): Problem[] {
  const problems: Problem[] = []
  if (Array.isArray(root.sinks)) {
    const sinks: readonly unknown[] = root.sinks
    for (const [index, sink] of sinks.entries()) {
      if (isJsonObject(sink)) problems.push(...kindProblem(sink.kind, index, 'type' in sink))
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

function kindProblem(kind: unknown, index: number, hasType: boolean): Problem[] {
  if (typeof kind === 'string' && sinkKinds.includes(kind)) return []
  const there = { en: `There are: ${sinkKinds.join(', ')}.`, zh: `支持：${sinkKinds.join('、')}。` }
  if (kind === undefined) {
    if (hasType) {
      const message = { en: 'There is no key "type" here.', zh: '此处没有名为 "type" 的键。' }
      const fix = { en: 'Did you mean "kind"?', zh: '是否想写 "kind"？' }
      return [problem('key_unknown', { path: ['sinks', index, 'type'], at: 'key' }, message, fix)]
    }
    const message = { en: 'The key "kind" is missing.', zh: '缺少键 "kind"。' }
    return [problem('key_missing', { path: ['sinks', index, 'kind'], at: 'key' }, message, there)]
  }
  const close = typeof kind === 'string' ? nearest(kind, sinkKinds) : null
  const message = { en: 'There is no such kind of sink.', zh: '没有这种 sink。' }
  const fix = close === null ? there : { en: `Did you mean "${close}"?`, zh: `是否想写 "${close}"？` }
  return [problem('value_invalid', { path: ['sinks', index, 'kind'] }, message, fix)]
}

/**
 * YAML 1.2 reads 0600 as the decimal number 600, and people mean octal: the digits count, not the number.
 */
function fileMode(mode: string | number): number | null {
  const digits = String(mode).replace(/^0o/, '')
  return /^0?[0-7]{3}$/.test(digits) ? Number.parseInt(digits, 8) : null
}

const badName = {
  en: 'A sink is named with letters, digits and _ . - (64 at most).',
  zh: 'sink 的名称只能用字母、数字和 _ . -（最多 64 个字符）。',
}
const sharedName = { en: 'Another sink has this name.', zh: '已有同名的 sink。' }
const emptyPath = { en: 'The path is empty.', zh: '路径为空。' }
const badPath = { en: 'This is no path.', zh: '这不是有效的路径。' }
const oneFile = { en: 'Several sources would write the same file.', zh: '多个来源会写入同一个文件。' }
const namedFile = { en: 'Put {name} into the path.', zh: '请在路径中加入 {name}。' }
const badMode = { en: 'This is no file mode.', zh: '这不是有效的文件权限。' }
const modeFix = { en: 'Write "0600" or "0640".', zh: '写成 "0600" 或 "0640"。' }
const openMode = { en: 'Every user of this machine could read the tokens.', zh: '本机所有用户都能读取令牌。' }
const openModeFix = { en: 'Use "0640" and a group instead.', zh: '请改用 "0640" 并通过用户组授权。' }
const badOwner = { en: 'This is no name or number of a user or group.', zh: '这不是用户或用户组的名称或编号。' }
const ownerFix = { en: 'Write a name such as www-data, or a number.', zh: '写成名称（如 www-data）或编号。' }
