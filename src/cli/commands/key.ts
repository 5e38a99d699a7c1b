/** `zhongkong key new NAME --allow …` makes an API key and its configuration lines; `zhongkong key hash` hashes one. */
import { sha256 } from '../../base/secret.ts'
import type { Text } from '../../base/text.ts'
import { realEnv } from '../../base/real-env.ts'
import type { CommandArgument, CommandInput, CommandOption, Io } from '../command.ts'
import { usage } from '../fault.ts'
import { readGrants, type Grants } from '../grants.ts'
import { flagOption } from '../option.ts'
import { readHiddenLine } from '../read-hidden-line.ts'
import { wrap } from '../terminal.ts'

export const name = 'key'

export const summary: Text = {
  en: 'make an API key for a client, or hash one',
  zh: '为客户端生成 API 密钥，或计算密钥的哈希',
}

export const args: readonly CommandArgument[] = [
  { name: 'action', required: true, summary: { en: 'new or hash', zh: 'new（生成）或 hash（计算哈希）' } },
  { name: 'name', required: false, summary: { en: 'with new: the client', zh: '与 new 连用：客户端名称' } },
]

export const options: readonly CommandOption[] = [
  {
    // Several words, and several times: one that silently replaced another would be a trap.
    flags: '--allow <grants...>',
    summary: {
      en: 'what it may do: read, read:NAME, refresh:NAME, gateway:NAME, admin',
      zh: '权限：read、read:名称、refresh:名称、gateway:名称、admin',
    },
  },
  { flags: '--json', summary: { en: 'print as JSON', zh: '以 JSON 输出' } },
]

export const notes: Text = {
  en: `The key is shown once and kept nowhere; the configuration holds its SHA-256.
Grants are separated by commas or spaces. Names may have * for any characters;
"read" alone is read:*.

Examples:
  zhongkong key new shop --allow read:weixin,read:weixin_*,refresh:weixin
  zhongkong key new ops --allow admin
  zhongkong key hash < key.txt`,
  zh: `密钥只显示一次，不会保存；配置中只存它的 SHA-256。
权限之间用逗号或空格分隔。名称可用 * 匹配任意字符；单独的 read 等同于 read:*。

示例：
  zhongkong key new shop --allow read:weixin,read:weixin_*,refresh:weixin
  zhongkong key new ops --allow admin
  zhongkong key hash < key.txt`,
}

/** What the command needs of the outside. */
export type KeyOutside = {
  readonly bytes: (length: number) => Uint8Array
  readonly readLine: (prompt: string, signal: AbortSignal) => Promise<string>
}

export async function run(input: CommandInput, io: Io): Promise<number> {
  const env = realEnv()
  try {
    return await runKey(input, io, { bytes: (length) => env.random.bytes(length), readLine: readHiddenLine })
  } finally {
    await env.close()
  }
}

export async function runKey(input: CommandInput, io: Io, outside: KeyOutside): Promise<number> {
  const [action, client] = input.args
  if (action === 'new') return makeKey(input, client, io, outside)
  if (action === 'hash' && client === undefined) return await hashKey(input, io, outside)
  if (action === 'hash') {
    throw usage(
      {
        en: 'the key is not given on the command line, where others can see it',
        zh: '不要在命令行中传入密钥，其他用户可能看到',
      },
      { en: 'zhongkong key hash < key.txt', zh: 'zhongkong key hash < key.txt' },
    )
  }
  throw usage({ en: 'key takes "new NAME" or "hash"', zh: 'key 之后应为 "new 名称" 或 "hash"' }, example)
}

const example: Text = {
  en: 'For example: zhongkong key new shop --allow read:weixin',
  zh: '例如：zhongkong key new shop --allow read:weixin',
}

const clientName = /^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$/

function makeKey(input: CommandInput, client: string | undefined, io: Io, outside: KeyOutside): number {
  if (client === undefined)
    throw usage({ en: 'key new needs the name of a client', zh: 'key new 需要客户端名称' }, example)
  if (!clientName.test(client)) {
    throw usage({
      en: 'a client is named with letters, digits and _ . @ - (64 at most)',
      zh: '客户端名称只能用字母、数字和 _ . @ -（最多 64 个字符）',
    })
  }
  const given: unknown = input.options.allow
  const allowed = Array.isArray(given) ? given.join(',') : given
  if (typeof allowed !== 'string') {
    throw usage(
      { en: '--allow is missing: a key without rights is of no use', zh: '缺少 --allow：没有权限的密钥没有用处' },
      example,
    )
  }
  const grants = readGrants(allowed)
  // 256 random bits: nobody guesses them, so a plain SHA-256 keeps them as well as a slow hash would.
  const key = `zk_${Buffer.from(outside.bytes(32)).toString('base64url')}`
  const hash = `sha256:${sha256(key).toString('hex')}`
  if (flagOption(input, 'json')) {
    io.out(JSON.stringify({ key, client: { [client]: { key: hash, ...grants } } }))
    return 0
  }
  const say = (text: Text): string => wrap(text[io.language], io.columns)
  io.err(
    say({ en: 'The key, shown only this once; give it to the program:', zh: '密钥仅显示这一次，请交给使用它的程序：' }),
  )
  io.out(key)
  io.err('')
  io.err(say({ en: 'For zhongkong.yaml, which keeps only its hash:', zh: '写入 zhongkong.yaml（其中只保存哈希）：' }))
  for (const line of configLines(client, hash, grants)) io.out(line)
  return 0
}

function configLines(client: string, hash: string, grants: Grants): string[] {
  const lists = (['read', 'refresh', 'gateway'] as const).filter((scope) => grants[scope].length > 0)
  return [
    'clients:',
    `  ${yamlWord(client)}:`,
    `    key: ${hash}`,
    ...lists.map((scope) => `    ${scope}: [${grants[scope].map(yamlWord).join(', ')}]`),
    ...(grants.admin ? ['    admin: true'] : []),
  ]
}

/** Quoted unless YAML certainly reads it as the same text. */
function yamlWord(word: string): string {
  return /^[A-Za-z_][\w.-]*$/.test(word) && !/^(true|false|null)$/i.test(word) ? word : JSON.stringify(word)
}

async function hashKey(input: CommandInput, io: Io, outside: KeyOutside): Promise<number> {
  const prompt: Text = { en: 'Paste the key (it is not shown), then Enter: ', zh: '粘贴密钥（不会显示），然后回车：' }
  const text = await outside.readLine(prompt[io.language], io.signal)
  const key = text.replace(/\r?\n$/, '')
  if (key === '') throw usage({ en: 'no key came on standard input', zh: '标准输入中没有密钥' })
  if (!/^[!-~]+$/.test(key)) {
    throw usage({
      en: 'a key is one line of printable characters without spaces',
      zh: '密钥应为一行可见字符，不含空格',
    })
  }
  if (key.length < 20) {
    const weak: Text = {
      en: 'This key is short enough to be guessed; better: zhongkong key new',
      zh: '该密钥较短，可能被猜到；建议用 zhongkong key new 生成',
    }
    io.err(wrap(weak[io.language], io.columns))
  }
  const hash = `sha256:${sha256(key).toString('hex')}`
  io.out(flagOption(input, 'json') ? JSON.stringify({ key: hash }) : hash)
  return 0
}
