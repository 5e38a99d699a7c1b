/** Whether the server may listen as it is told to: nobody outside this machine gets in without a key and without TLS. */
import { isJsonObject, type JsonObject } from '../base/json.ts'
import type { Text } from '../base/text.ts'
import { isLocal, parseListen, type Listen } from './listen.ts'
import { problem, warning, type Path, type Problem } from './problem.ts'
import type { WrittenConfig } from './schema.ts'

/** What the check of one part found. */
export type Checked<T> = { readonly value: T; readonly problems: readonly Problem[] }

const listenPath = ['server', 'listen']

/** `raw` is what the file says, broken parts included: a client that is half right is no reason to ask for clients. */
export function checkServer(written: WrittenConfig, raw: JsonObject): Checked<Listen | null> {
  const { server } = written
  const problems: Problem[] = []
  const listen = parseListen(server.listen)
  if (listen === null) {
    problems.push(problem('value_invalid', { path: listenPath }, badListen, listenFix))
    return { value: null, problems }
  }
  return { value: listen, problems: [...publicUrl(written), ...exposure(written, raw, listen)] }
}

/** Codes and links travel to this address, so it is https but where the network itself is trusted. */
function publicUrl({ server }: WrittenConfig): Problem[] {
  const { public_url: text, trusted_network: isTrusted } = server
  if (text === undefined) return []
  const path = ['server', 'public_url']
  const url = /^https?:\/\/[^/\s\\]/i.test(text) && URL.canParse(text) ? new URL(text) : null
  const isBare = url !== null && [url.username, url.password, url.search, url.hash].every((part) => part === '')
  if (url === null || !isBare) return [problem('value_invalid', { path }, badPublicUrl, publicUrlFix)]
  const isHere = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(url.hostname)
  if (url.protocol === 'https:' || isHere || isTrusted) return []
  return [problem('value_invalid', { path }, plainPublicUrl, publicUrlFix)]
}

function exposure(written: WrittenConfig, raw: JsonObject, listen: Listen): Problem[] {
  if (isLocal(listen)) return []
  const problems: Problem[] = []
  const hasClients = isJsonObject(raw.clients) && Object.keys(raw.clients).length > 0
  const hasTls = isJsonObject(raw.server) && raw.server.tls !== undefined && raw.server.tls !== null
  if (!hasClients) problems.push(problem('exposed_without_clients', { path: listenPath }, withoutClients, clientsFix))
  if (!hasTls && !written.server.trusted_network) {
    problems.push(problem('exposed_without_tls', { path: listenPath }, withoutTls, tlsFix))
  }
  const { tokenboy } = written.compat
  const allow = typeof tokenboy === 'object' ? tokenboy.allow : []
  if (tokenboy !== false && allow.length === 0 && !hasClients) {
    problems.push(problem('exposed_tokenboy', { path: ['compat', 'tokenboy'] }, tokenboyOpen, tokenboyFix))
  }
  return [...problems, ...allow.flatMap((range, index) => everybody(range, ['compat', 'tokenboy', 'allow', index]))]
}

function everybody(range: string, path: Path): Problem[] {
  if (!/\/0+$/.test(range.trim())) return []
  const message = {
    en: 'This range is the whole internet: anybody may read tokens.',
    zh: '该网段是整个互联网：任何人都能读取令牌。',
  }
  return [
    warning('exposed_tokenboy', { path }, message, {
      en: 'Name the networks of your own programs.',
      zh: '请只写自己程序所在的网段。',
    }),
  ]
}

const badListen: Text = {
  en: 'This is no address to listen on.',
  zh: '这不是可以监听的地址。',
}
const listenFix: Text = {
  en: 'Write HOST:PORT (127.0.0.1:8888), [IPV6]:PORT ([::1]:8888), or unix:/path/to.sock.',
  zh: '写成 HOST:PORT（127.0.0.1:8888）、[IPV6]:PORT（[::1]:8888）或 unix:/path/to.sock。',
}
const badPublicUrl: Text = {
  en: 'This is no address of a server: no query, fragment or password belongs into it.',
  zh: '这不是服务器地址：不能包含查询参数、片段或密码。',
}
const plainPublicUrl: Text = {
  en: 'Codes of authorisations travel to this address, and without TLS they could be read.',
  zh: '授权码会发往该地址；没有 TLS，授权码可能被窃听。',
}
const publicUrlFix: Text = {
  en: 'Write https://tokens.example.com; in a private network, server.trusted_network: true allows http.',
  zh: '写成 https://tokens.example.com；若是可信内网，server.trusted_network: true 允许 http。',
}
const withoutClients: Text = {
  en: 'Other machines can reach this address, but no client is configured: anybody could read tokens.',
  zh: '其他机器可以访问该地址，但没有配置 clients：任何人都能读取令牌。',
}
const clientsFix: Text = {
  en: 'Add a client (zhongkong key new NAME --allow read), or listen on 127.0.0.1.',
  zh: '添加一个客户端（zhongkong key new 名称 --allow read），或改为监听 127.0.0.1。',
}
const withoutTls: Text = {
  en: 'Other machines can reach this address, but without TLS: keys and tokens would travel readable.',
  zh: '其他机器可以访问该地址，但没有 TLS：密钥与令牌会明文传输。',
}
const tlsFix: Text = {
  en: 'Set server.tls; or, in a private network, server.trusted_network: true.',
  zh: '设置 server.tls；若是可信内网，设置 server.trusted_network: true。',
}
const tokenboyOpen: Text = {
  en: "TokenBoy's clients send no key, and this would let any machine in.",
  zh: 'TokenBoy 的客户端不带密钥，这样任何机器都能读取。',
}
const tokenboyFix: Text = {
  en: 'Write tokenboy: { allow: [10.0.0.0/8] } with your own networks, or configure clients.',
  zh: '写成 tokenboy: { allow: [10.0.0.0/8] }（填自己的网段），或配置 clients。',
}
