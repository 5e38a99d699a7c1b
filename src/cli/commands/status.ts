/** `zhongkong status`: how every source of a running server is doing, as a table. */
import { formatDuration } from '../../base/duration.ts'
import type { Language, Text } from '../../base/text.ts'
import type { SourceAnswer, SourceStateWord } from '../../wire/v1.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { faultLines } from '../fault.ts'
import { flagOption } from '../option.ts'
import { pause } from '../pause.ts'
import { remoteServer } from '../remote.ts'
import { tableLines } from '../table.ts'
import { printable, wrap } from '../terminal.ts'

export const name = 'status'

export const summary: Text = {
  en: 'a table of all sources of a running server',
  zh: '列出运行中服务器的所有来源及其状态',
}

export const args: readonly CommandArgument[] = []

export const options: readonly CommandOption[] = [
  { flags: '--json', summary: { en: 'print JSON', zh: '以 JSON 输出' } },
  { flags: '--watch', summary: { en: 'go on, every two seconds', zh: '持续运行，每两秒更新' } },
]

export const notes: Text = {
  en: 'The server is ZHONGKONG_URL (http://127.0.0.1:8888), the key ZHONGKONG_KEY.',
  zh: '服务器：ZHONGKONG_URL（默认 http://127.0.0.1:8888）；密钥：ZHONGKONG_KEY。',
}

const watchMs = 2_000

/** A newer server may know more words than these: they are shown as they come. */
const words: Readonly<Partial<Record<string, Text>>> = {
  fresh: { en: 'fresh', zh: '正常' },
  due: { en: 'due', zh: '待刷新' },
  refreshing: { en: 'refreshing', zh: '刷新中' },
  'in-doubt': { en: 'in doubt', zh: '存疑' },
  failing: { en: 'failing', zh: '失败' },
  waiting: { en: 'waiting', zh: '等待中' },
  'no-token': { en: 'no token', zh: '无令牌' },
  'needs-authorization': { en: 'needs auth', zh: '需授权' },
} satisfies Record<SourceStateWord, Text>

export async function run(input: CommandInput, io: Io): Promise<number> {
  const remote = remoteServer(io)
  const isWatching = flagOption(input, 'watch')
  const isJson = flagOption(input, 'json')
  let shown = ''
  do {
    try {
      const sources = await remote.sources()
      const lines = isJson ? [JSON.stringify({ sources })] : statusLines(sources, io.language, io.columns)
      shown = show(lines, { isWatching, shown, io })
    } catch (thrown) {
      if (io.signal.aborted) return 0
      if (!isWatching || shown === '') throw thrown
      shown = show(faultLines(thrown, io.language).lines, { isWatching, shown, io })
    }
  } while (isWatching && (await pause(watchMs, io.signal)))
  return 0
}

/** Prints what changed; on a terminal the new table takes the old one's place. */
function show(lines: readonly string[], past: { isWatching: boolean; shown: string; io: Io }): string {
  const text = lines.join('\n')
  if (text === past.shown) return text
  const clear = past.isWatching && past.io.isTerminal ? '\u001b[2J\u001b[H' : ''
  past.io.out(`${clear}${text}`)
  return text
}

/** The table, and under it every failure in full with what to do about it. */
export function statusLines(sources: readonly SourceAnswer[], language: Language, width: number): readonly string[] {
  if (sources.length === 0) {
    return [language === 'zh' ? '该密钥没有可见的来源。' : 'There are no sources that this key may see.']
  }
  const say = (en: string, zh: string): string => (language === 'zh' ? zh : en)
  const columns = [
    { title: say('SOURCE', '来源'), widthMax: 22 },
    { title: say('STATE', '状态'), widthMax: 11 },
    { title: say('LEFT', '剩余'), widthMax: 8 },
    { title: say('NEXT', '下次刷新'), widthMax: 8 },
    { title: say('VER', '版本'), widthMax: 8 },
    { title: say('LAST ERROR', '最近错误'), widthMax: width },
  ]
  const rows = sources.map((source) => [
    source.name,
    words[source.state]?.[language] ?? source.state,
    source.expires_in === null ? '-' : formatDuration(source.expires_in * 1_000),
    source.next_refresh_in <= 0 ? say('now', '现在') : formatDuration(source.next_refresh_in * 1_000),
    source.version === 0 ? '-' : String(source.version),
    lastError(source, language),
  ])
  return [...tableLines(columns, rows, width), ...sources.flatMap((source) => explanation(source, language, width))]
}

function lastError(source: SourceAnswer, language: Language): string {
  if (source.trouble !== null) {
    const { upstream, message, hint } = source.trouble
    if (upstream !== undefined) return `${upstream.errcode} ${upstream.errmsg}`
    // Messages are English, hints come in the reader's language.
    return language === 'zh' ? (hint ?? message) : message
  }
  if (source.conflict) return language === 'zh' ? '另有程序在获取该账号的令牌' : 'somebody else fetches too'
  return '-'
}

function troubleTexts({ message, hint }: NonNullable<SourceAnswer['trouble']>, language: Language): string[] {
  if (hint === undefined) return [message]
  return language === 'zh' ? [hint, message] : [message, hint]
}

/** How often and since when tokens died early, and what to do about it. The hint comes in the reader's language. */
function signTexts({ conflict_signs: signs }: SourceAnswer, language: Language): string[] {
  if (signs === undefined) return []
  const [since, last] = [signs.since, signs.last].map((at) => new Date(at * 1_000).toISOString().slice(0, 16))
  const seen: Text =
    signs.sign === 'refused'
      ? { en: 'the platform refused them', zh: '平台拒绝了这些令牌' }
      : { en: 'the platform has other ones', zh: '平台上已是另外的令牌' }
  const counted: Text = {
    en: `${signs.deaths} times since ${since} UTC, last at ${last} UTC; ${seen.en}.`,
    zh: `自 ${since} UTC 起共 ${signs.deaths} 次，最近一次在 ${last} UTC；${seen.zh}。`,
  }
  return [counted[language], signs.hint]
}

function explanation(source: SourceAnswer, language: Language, width: number): readonly string[] {
  const isAtRest = source.trouble === null && !source.conflict
  if (isAtRest && source.authorize === undefined) return []
  const conflict: Text = {
    en: 'Tokens die before their time though nobody here replaces them: somebody else fetches for this account.',
    zh: '令牌提前失效，而本系统并未更换：有其他程序在为同一账号获取令牌。',
  }
  const doubts = source.conflict ? [conflict[language], ...signTexts(source, language)] : []
  const texts = source.trouble === null ? doubts : troubleTexts(source.trouble, language)
  const times =
    source.trouble === null
      ? ''
      : language === 'zh'
        ? `（连续失败 ${source.trouble.count} 次）`
        : ` (${source.trouble.count} in a row)`
  if (source.authorize !== undefined) {
    texts.push(
      language === 'zh'
        ? `授权：执行 zhongkong authorize ${source.name}，或打开 ${source.authorize}`
        : `Authorise: zhongkong authorize ${source.name}, or open ${source.authorize}`,
    )
  }
  const body = texts.flatMap((text) => wrap(printable(text), width - 2).split('\n'))
  return ['', `${printable(source.name)}${times}`, ...body.map((line) => `  ${line}`)]
}
