/** What `zhongkong check` prints when there is something to say beside the issues: the summary, and what was found online. */
import { formatDuration } from '../base/duration.ts'
import type { Text } from '../base/text.ts'
import type { Config } from '../config/config.ts'
import { shownStore } from '../config/store-url.ts'
import type { SinkConfig } from '../model/sink.ts'
import type { Source } from '../model/source.ts'
import type { OnlineFindings, SourceFinding } from './check-online.ts'
import type { Io } from './command.ts'
import { cut, pad, printable, widthOf, wrap } from './terminal.ts'

/** Clocks this far apart are told, in milliseconds; leases and callbacks go wrong at the second. */
export const skewMsNoticed = 30_000
export const skewMsWrong = 600_000

/** Sources named in the summary; more are counted. */
const sourcesShown = 20

export function summaryLines(config: Config, io: Io): string[] {
  const say = (text: Text): string => text[io.language]
  const { sources, clients, compat, sinks, server } = config
  const reach = server.listen.startsWith('unix:') || isLoopback(server.listen) ? onlyHere : otherMachines
  const none = say({ en: 'none', zh: '无' })
  const surfaces = [
    '/v1',
    ...(compat.tokenboy === null ? [] : ['/token']),
    ...(compat.wechatTokenServer === null ? [] : ['/wechat/token']),
  ]
  const rows: [Text, string][] = [
    [{ en: 'listen', zh: '监听' }, `${server.listen}${say(reach)}`],
    [{ en: 'store', zh: '存储' }, shownStore(config.store)],
    [{ en: 'sources', zh: '来源' }, sources.length === 0 ? none : String(sources.length)],
    [
      { en: 'clients', zh: '客户端' },
      clients.length === 0 ? say(openReads) : clients.map(({ name }) => name).join(', '),
    ],
    [{ en: 'serves', zh: '接口' }, surfaces.join(', ')],
    ...(sinks.length === 0 ? [] : [[{ en: 'sinks', zh: '输出' }, sinks.map(sinkText).join(', ')] as [Text, string]]),
  ]
  const width = Math.max(...rows.map(([label]) => widthOf(say(label))))
  const lines = rows.map(([label, text]) => cut(`  ${pad(say(label), width)}  ${printable(text)}`, io.columns))
  const at = lines.findIndex((_, index) => rows[index]?.[0].en === 'sources')
  return [...lines.slice(0, at + 1), ...sourceLines(sources, io), ...lines.slice(at + 1)]
}

/** Where a sink writes to, without what may be a secret. */
function sinkText(sink: SinkConfig): string {
  switch (sink.kind) {
    case 'file':
      return sink.path
    case 'redis':
      return `redis ${shownStore(sink.url)} (${sink.layout.preset ?? sink.layout.key})`
    case 'webhook':
      return `webhook ${new URL(sink.url).origin}`
    case 'kubernetes':
      return `kubernetes ${sink.namespace ?? ''}/${sink.secretName}`
  }
}

function sourceLines(sources: readonly Source[], io: Io): string[] {
  const shown = sources.slice(0, sourcesShown)
  const width = Math.min(32, Math.max(0, ...shown.map(({ name }) => name.length)))
  const of: Text = { en: ' of ', zh: ' ← ' }
  const lines = shown.map(({ name, kind, needs }) => {
    const behind = needs.length === 0 ? '' : `${of[io.language]}${needs.join(', ')}`
    return cut(`    ${pad(cut(name, width), width)}  ${kind}${behind}`, io.columns)
  })
  const more = sources.length - shown.length
  const rest: Text = { en: `    and ${more} more`, zh: `    以及另外 ${more} 个` }
  return more > 0 ? [...lines, rest[io.language]] : lines
}

const onlyHere: Text = { en: ' (this machine only)', zh: '（仅本机可访问）' }
const otherMachines: Text = { en: ' (other machines can reach it)', zh: '（其他机器可访问）' }
const openReads: Text = {
  en: 'none: programs on this machine, and so a proxy on it, need no key',
  zh: '无：本机程序无需密钥，本机上的反向代理也一样',
}

function isLoopback(listen: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\]):/i.test(listen)
}

export function onlineLines(findings: OnlineFindings, io: Io): string[] {
  const say = (text: Text): string => text[io.language]
  const width = Math.min(32, Math.max(5, ...findings.sources.map(({ name }) => name.length)))
  const row = (label: string, text: string): string[] => {
    const wrapped = wrap(printable(text), io.columns - width - 4).split('\n')
    return wrapped.map((line, index) => `  ${pad(index === 0 ? cut(label, width) : '', width)}  ${line}`)
  }
  const { store } = findings
  return [
    ...(store.outcome === 'ok' ? row(say(storeLabel), say(storeWorks)) : []),
    ...(store.outcome === 'failed' ? row(say(storeLabel), `${say(failedWord)}${store.message}`) : []),
    ...(store.outcome === 'failed' ? row('', `→ ${say(store.hint)}`) : []),
    ...store.notices.flatMap((notice) => row('', `${notice.isCalm === true ? '·' : '!'} ${say(notice)}`)),
    ...(findings.skewMs === null ? [] : row(say({ en: 'clock', zh: '时钟' }), say(skewText(findings.skewMs)))),
    ...findings.sources.flatMap((finding) => {
      const lines = row(finding.name, say(sourceText(finding)))
      const { hint, upstream } = finding.outcome === 'failed' ? finding.failure : {}
      // Without words of the upstream, the hint says it all.
      return hint === undefined || upstream === undefined ? lines : [...lines, ...row('', `→ ${say(hint)}`)]
    }),
  ]
}

/** Whether anything found online keeps tokens from being served. */
export function isTrouble(findings: OnlineFindings): boolean {
  const isSkewed = findings.skewMs !== null && Math.abs(findings.skewMs) > skewMsWrong
  return isSkewed || findings.store.outcome === 'failed' || findings.sources.some(({ outcome }) => outcome === 'failed')
}

const storeLabel: Text = { en: 'store', zh: '存储' }
const storeWorks: Text = { en: 'ok, opened and written', zh: '正常，可以读写' }
const failedWord: Text = { en: 'failed: ', zh: '失败：' }

function skewText(skewMs: number): Text {
  const span = formatDuration(Math.max(1_000, Math.abs(skewMs)))
  if (Math.abs(skewMs) < skewMsNoticed)
    return { en: `ok, within ${span} of the upstreams`, zh: `正常，与上游相差不超过 ${span}` }
  const [en, zh] = skewMs > 0 ? ['behind', '慢'] : ['ahead of', '快']
  return {
    en: `${span} ${en} the upstreams; set this machine's clock (NTP)`,
    zh: `比上游${zh} ${span}；请校准本机时钟（NTP）`,
  }
}

function sourceText(finding: SourceFinding): Text {
  switch (finding.outcome) {
    case 'ok': {
      const life = finding.lifetimeMs === null ? null : formatDuration(finding.lifetimeMs)
      return {
        en: `ok, a token${life === null ? '' : ` for ${life}`} (${finding.tookMs} ms)`,
        zh: `正常，已取得令牌${life === null ? '' : `，有效期 ${life}`}（${finding.tookMs} ms）`,
      }
    }
    case 'not-asked':
      return { en: `not asked: ${finding.why.en}`, zh: `未请求：${finding.why.zh}` }
    case 'failed': {
      const { message, upstream, hint } = finding.failure
      const said = upstream === undefined ? null : `${upstream.errcode} ${upstream.errmsg}`
      return { en: `failed: ${said ?? hint?.en ?? message}`, zh: `失败：${said ?? hint?.zh ?? message}` }
    }
  }
}
