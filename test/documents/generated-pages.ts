/** Pages of docs/ that come from tables in the code. `npm run docs` writes them; a test keeps them equal. */
import { errorTable } from '../../src/base/errors.ts'
import type { EventType } from '../../src/model/event.ts'

const note = '<!-- Written by `npm run docs`. -->'

const retries = { never: 'no', backoff: 'yes, after a growing wait', after: 'yes, after `Retry-After`' } as const

export function errorsPage(): string {
  const rows = Object.entries(errorTable).map(
    ([code, { status, owner, retry, text }]) =>
      `| \`${code}\` | ${status} | ${owner} | ${retries[retry]} | ${text.en}<br>${text.zh} |`,
  )
  return `${note}
# Error codes · 错误码

Every error of \`/v1\` and of the library carries one of these codes; HTTP answers are
[problem details](https://www.rfc-editor.org/rfc/rfc9457) with \`code\`, \`detail\`, and where there is one \`hint\` and the
upstream's own words. Codes are stable; texts are not. The owner says who can mend it: the caller, whoever wrote the
configuration, the upstream, or zhongkong itself.

\`/v1\` 与程序库的每个错误都带有下列错误码之一。错误码保持稳定，文字说明可能调整。owner 表示应由谁处理：
调用方（caller）、配置（config）、上游平台（upstream）或 zhongkong 自身（us）。

| code | HTTP | owner | try again? | meaning · 含义 |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`
}

type Meaning = { readonly fields: string; readonly en: string; readonly zh: string }

const meanings: Readonly<Record<EventType, Meaning>> = {
  rotated: {
    fields: '`version`, `expiresAt`, `reason`',
    en: 'A new token was committed.',
    zh: '新令牌已生效。',
  },
  repeated: {
    fields: '`version`, `expiresAt`',
    en: 'The upstream gave the same token again: no new version.',
    zh: '上游返回了相同的令牌，版本不变。',
  },
  attempted: {
    fields: '`outcome`, `forced`, `tookMs`',
    en: 'An attempt ended. One for every request that may have reached the upstream.',
    zh: '一次请求结束；每个可能到达上游的请求对应一条。',
  },
  failing: {
    fields: '`class`, `failure`',
    en: 'The first failure after success.',
    zh: '成功之后的首次失败。',
  },
  recovered: {
    fields: '`failures`',
    en: 'The first success after failures.',
    zh: '失败之后恢复正常。',
  },
  reported: {
    fields: '`version`',
    en: 'A caller said that the upstream refused this version.',
    zh: '调用方报告该版本的令牌被上游拒绝。',
  },
  strayed: {
    fields: '',
    en: 'An answer came after its lease was lost; the token in use may have been retired by it, so a refresh follows.',
    zh: '租约失效后才收到应答，当前令牌可能因此作废，随即会重新获取。',
  },
  probed: {
    fields: '`version`, `said`, `tookMs`',
    en: 'Somebody said that this version is dead, and the platform was asked: `alive`, `dead`, or `unclear` where it gave no clear answer.',
    zh: '有人报告该版本已失效，已向平台查询：`alive` 为有效，`dead` 为失效，`unclear` 为没有得到明确答复。',
  },
  'false-reports': {
    fields: '`client`, `times`',
    en: 'A client has reported living tokens as dead three times in a row; null is a caller without a key. Told once per row, by one node.',
    zh: '某个调用方连续三次把有效的令牌报告为失效；null 表示没有密钥的调用方。每轮只由一个节点通知一次。',
  },
  conflict: {
    fields: '`deaths`, `sign`, `since`',
    en: 'Tokens die before their time though nobody here replaces them: somebody else fetches for this account. Told once, by one node, at the second death of a row; `sign` is `refused` or `replaced` (see docs/operating.md).',
    zh: '令牌提前失效而本系统并未更换：有其他程序在为同一账号获取令牌。在第二次提前失效时由一个节点通知一次；`sign` 为 `refused` 或 `replaced`（见 docs/operating.zh-CN.md）。',
  },
  'conflict-over': {
    fields: '`deaths`, `lastedMs`',
    en: 'No token has died early for a day. Told with the next new token.',
    zh: '已有一天没有令牌提前失效。在下一次获取新令牌时通知。',
  },
  expired: {
    fields: '`version`',
    en: 'The token ended before a new one could be had.',
    zh: '令牌已到期，而新令牌尚未获取到。',
  },
  uncommitted: {
    fields: '`version`',
    en: 'A token was issued but the store could not be written: it is served, and written as soon as possible.',
    zh: '已获取新令牌但无法写入存储：照常提供，并会尽快补写。',
  },
  'grant-at-risk': {
    fields: '',
    en: 'A grant came that neither the store nor the spill folder could take: it is in the memory of this process only.',
    zh: '收到了新的授权凭据（如 refresh token），但存储与 spill 目录都无法写入：目前只保存在本进程内存中。',
  },
  authorized: {
    fields: '',
    en: 'A person authorised the source, or did so anew.',
    zh: '来源已由人工完成授权（或重新授权）。',
  },
  revoked: {
    fields: '',
    en: 'The platform withdrew the authorisation: there is no token until somebody authorises anew.',
    zh: '平台取消了授权：重新授权之前没有可用令牌。',
  },
  'push-late': {
    fields: '`lateMs`',
    en: 'The platform has pushed no ticket for twice its pace (20 minutes for one of ten minutes): its callbacks may not arrive. Told once per silence, by one node.',
    zh: '平台已超过两个推送周期（每 10 分钟推送的票据为 20 分钟）没有推送票据，回调可能无法到达。每次中断只由一个节点通知一次。',
  },
  'push-asked': {
    fields: '`failure`',
    en: 'The platform was asked to push its ticket again; `failure` says why it could not be asked, and is null otherwise.',
    zh: '已请平台重新推送票据；`failure` 为请求未成功的原因，成功时为 null。',
  },
  added: { fields: '', en: 'A source was added while running.', zh: '运行中新增了来源。' },
  changed: { fields: '', en: 'A source was changed while running.', zh: '运行中修改了来源。' },
  removed: { fields: '', en: 'A source was removed while running.', zh: '运行中移除了来源。' },
  'store-lost': {
    fields: '`message`',
    en: 'The store does not answer, or cannot be written (such as a full disk). Told once, until `store-back`.',
    zh: '存储没有响应，或无法写入（如磁盘已满）。在 `store-back` 之前只通知一次。',
  },
  'store-back': {
    fields: '`awayMs`',
    en: 'The store answers again and can be written.',
    zh: '存储恢复响应，且可以写入。',
  },
  'callback-refused': {
    fields: '`reason`',
    en: 'A request to the callback of the source was not believed; docs/callbacks.md says what each reason means. The same is told once a minute at most.',
    zh: '对该来源回调地址的一次请求未被采信；各原因的含义见 docs/callbacks.zh-CN.md。相同情况每分钟最多通知一次。',
  },
  'forward-failed': {
    fields: '`to`, `outcome`',
    en: 'A receiver did not take a message that was forwarded to it. The same is told once a minute at most.',
    zh: '转发的消息未被接收方收下。相同情况每分钟最多通知一次。',
  },
  'sink-failing': {
    fields: '`sink`, `source`, `message`',
    en: 'A token could not be delivered to a sink, which goes on trying. Told once, until `sink-recovered`; docs/sinks.md.',
    zh: '令牌未能写入某个 sink，会继续重试。在 `sink-recovered` 之前只通知一次；详见 docs/sinks.zh-CN.md。',
  },
  'sink-recovered': {
    fields: '`sink`, `failedMs`',
    en: 'The sink has the newest value of everything that had failed.',
    zh: '该 sink 恢复正常，之前失败的来源都已是最新值。',
  },
  'sink-dropped': {
    fields: '`sink`, `source`, `version`, `reason`, `message`',
    en: 'A version will never be delivered: `superseded` by a newer one, `expired`, or `refused`. `version` is null for the news that a source was removed. Told once a minute at most; `/v1/sinks` lists them.',
    zh: '某个版本不会再投递：`superseded`（已有更新的版本）、`expired`（已过期）或 `refused`（被拒绝）。`version` 为 null 表示来源被移除的通知。每分钟最多通知一次，完整列表见 `/v1/sinks`。',
  },
}

export function eventsPage(types: readonly EventType[]): string {
  const rows = types.map((type) => {
    const { fields, en, zh } = meanings[type]
    return `| \`${type}\` | ${fields} | ${en}<br>${zh} |`
  })
  return `${note}
# Events · 事件

What happened, as past facts: in the log, for programs that embed the library (\`keeper.on('rotated', …)\`), and, in snake case
and seconds, on the [stream of events](client.md#the-stream-of-events). Every event has \`type\` and \`at\` (epoch milliseconds, this node's clock); all but those
of the store and of sinks have \`name\`, the source. No event ever holds a token or a secret.

已发生的事实，写入日志，提供给嵌入程序库的应用（\`keeper.on('rotated', …)\`），并以下划线命名、以秒为单位出现在[事件流](client.zh-CN.md#事件流)中。每个事件都有 \`type\` 和 \`at\`（毫秒时间戳，
取本节点时钟）；除两个存储事件外都有 \`name\`，即来源名称。事件中绝不包含令牌或密钥。

| type | more fields | meaning · 含义 |
| --- | --- | --- |
${rows.join('\n')}
`
}
