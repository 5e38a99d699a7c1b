/** `store`: a kind that is known, written rightly, and with a key where several nodes need the same. */
import { problem, warning, type Problem } from './problem.ts'
import { holdsPassword, parseStore } from './store-url.ts'

export type StoreSurroundings = {
  readonly directory: string
  readonly hasKey: boolean
  readonly workers: number
  /** `--store` said it. */
  readonly isFromCommandLine: boolean
}

export function checkStore(text: string, around: StoreSurroundings): { value: string; problems: Problem[] } {
  const { value, problems } = judge(text, around)
  if (!around.isFromCommandLine || !holdsPassword(text)) return { value, problems }
  return { value, problems: [...problems, warning('secret_literal', where, seenByAll, seenByAllFix)] }
}

const where = { path: ['store'] }

function judge(
  text: string,
  { directory, hasKey, workers }: StoreSurroundings,
): { value: string; problems: Problem[] } {
  const store = parseStore(text, directory)
  switch (store.kind) {
    case 'memory':
      // Each would have a memory of its own, fetch for itself, and retire what the others serve.
      return { value: 'memory:', problems: workers === 1 ? [] : [problem('value_invalid', where, apart, sharedFile)] }
    case 'sqlite':
      return { value: `sqlite:${store.path}`, problems: [] }
    case 'shared':
      return { value: text, problems: hasKey ? [] : [problem('key_missing', where, keyMissing, makeKey)] }
    case 'wrong': {
      const message = {
        en: `This store cannot be used: ${store.why.en}.`,
        zh: `该存储地址无法使用：${store.why.zh}。`,
      }
      return { value: text, problems: [problem('value_invalid', where, message)] }
    }
    case 'unknown': {
      const message = { en: 'This is no store that is known here.', zh: '无法识别的存储。' }
      const fix = {
        en: 'Write sqlite:PATH, memory, or the URL of a server: redis://, postgres:// or mysql://.',
        zh: '写成 sqlite:路径、memory，或服务器地址：redis://、postgres://、mysql://。',
      }
      return { value: text, problems: [problem('value_invalid', where, message, fix)] }
    }
  }
}

const apart = {
  en: 'With several workers (server.workers), each would have a memory of its own and retire the tokens of the others.',
  zh: '多个工作进程（server.workers）各有各的内存，会互相作废对方的令牌。',
}

const sharedFile = {
  en: 'Write store: sqlite:./data/zhongkong.db, which all workers share; or workers: 1.',
  zh: '写成 store: sqlite:./data/zhongkong.db，由所有工作进程共享；或写 workers: 1。',
}

const keyMissing = {
  en: 'A store that nodes share needs an encryption_key: all of them must have the same.',
  zh: '多个节点共享的存储必须设置 encryption_key：所有节点要使用同一个密钥。',
}

const makeKey = {
  en: 'Make one with: openssl rand -hex 32. Give it to every node: encryption_key: "${ZHONGKONG_ENCRYPTION_KEY}".',
  zh: '用此命令生成：openssl rand -hex 32，并提供给每个节点：encryption_key: "${ZHONGKONG_ENCRYPTION_KEY}"。',
}

const seenByAll = {
  en: 'A password is written on the command line, where every user of this machine can see it.',
  zh: '密码写在了命令行上，本机所有用户都能看到。',
}

const seenByAllFix = {
  en: 'Write store in the configuration instead: with ${NAME} in place of the password, or as "file:PATH".',
  zh: '请改在配置文件中写 store：密码处写 ${NAME}，或写成 "file:路径"。',
}
