/** What stands in a configuration for something from outside: `${NAME}` and `file:PATH`. Also notices literal secrets. */
import { isAbsolute, resolve } from 'node:path'
import type { TextScalar } from './document.ts'
import { interpolate, type Fault, type Lookup } from './interpolate.ts'
import { dotted, problem, warning, type Path, type Problem } from './problem.ts'
import { isOpenToOthers, readText, type ReadFile, type TextRead } from './read-file.ts'
import { hasPasswordInUrl, hasSecretInQuery, isSecretPath, mayBeFile } from './secret-keys.ts'
import { holdsPassword } from './store-url.ts'
import { nearest } from '../base/suggest.ts'
import type { Text } from '../base/text.ts'

/** Stands in the tree where a reference could not be resolved; nothing is judged there. */
const placeholder = 'unresolved'
const secretBytesMax = 65_536
const filePrefix = 'file:'

type Wanted = { readonly scalar: TextScalar; readonly file: string }

export class References {
  readonly problems: Problem[] = []
  /** Dotted paths whose value is not known. */
  readonly unresolved: string[] = []
  readonly #lookup: Lookup
  readonly #names: readonly string[]
  readonly #files: Wanted[] = []
  readonly #typed = new Map<string, number | boolean>()

  constructor(lookup: Lookup, names: readonly string[]) {
    this.#lookup = lookup
    this.#names = names
  }

  /** The value of a text of the configuration, as far as it can be told without reading files. */
  take(scalar: TextScalar): string {
    const { path, text } = scalar
    const isFile = text.startsWith(filePrefix) && mayBeFile(path)
    const { value, faults, referred } = interpolate(text, this.#lookup)
    for (const fault of faults) this.problems.push(this.#faultProblem(fault, scalar))
    if (faults.length > 0) {
      this.unresolved.push(dotted(path))
      return placeholder
    }
    if (isFile) {
      this.#files.push({ scalar, file: value.slice(filePrefix.length) })
      return placeholder
    }
    this.#noticeLiteral(scalar)
    if (referred && scalar.plain) this.#noteType(path, value)
    return value
  }

  /** A number or boolean that an unquoted reference may stand for, where one is wanted. */
  typed(path: Path): number | boolean | undefined {
    return this.#typed.get(dotted(path))
  }

  /** Reads the secret files, each once, and puts their texts into the tree. */
  async readFiles(readFile: ReadFile, directory: string): Promise<void> {
    const reads = new Map<string, TextRead>()
    for (const { scalar, file } of this.#files) {
      const path = isAbsolute(file) ? file : resolve(directory, file)
      const read = reads.get(path) ?? (await readText(readFile, path, secretBytesMax))
      reads.set(path, read)
      this.#settle(scalar, path, read)
    }
  }

  #settle(scalar: TextScalar, path: string, read: TextRead): void {
    const where = { path: scalar.path, at: scalar.offsetOf(0) }
    const secret = read.ok ? read.text.replace(/[\r\n]+$/, '') : ''
    if (secret === '') {
      const because = read.ok ? { en: 'it is empty', zh: '内容为空' } : read.because
      const message = {
        en: `The secret file ${path} cannot be used: ${because.en}.`,
        zh: `密钥文件 ${path} 无法使用：${because.zh}。`,
      }
      this.problems.push(problem('secret_file_unreadable', where, message, fileFix))
      this.unresolved.push(dotted(scalar.path))
      return
    }
    // Orchestrators mount secrets readable for everybody inside the container, where nobody else is.
    const isMounted = /^\/(var\/)?run\/secrets\//.test(path)
    if (read.ok && isOpenToOthers(read.mode) && !isMounted) {
      const message = {
        en: `Other users of this machine may read the secret file ${path}.`,
        zh: `本机其他用户可以读取密钥文件 ${path}。`,
      }
      this.problems.push(
        warning('secret_file_open', where, message, { en: `chmod 600 ${path}`, zh: `chmod 600 ${path}` }),
      )
    }
    scalar.replace(secret)
  }

  #faultProblem({ kind, name, index }: Fault, scalar: TextScalar): Problem {
    const where = { path: scalar.path, at: scalar.offsetOf(index) }
    if (kind === 'malformed') return problem('reference_bad', where, badReference, badReferenceFix)
    const close = nearest(name, this.#names)
    const message = { en: `The variable ${name} is not set.`, zh: `环境变量 ${name} 没有设置。` }
    const fix = {
      en: `Set it in the environment or in .env beside this file${close === null ? '' : `; did you mean ${close}?`}`,
      zh: `请在环境变量或本文件旁的 .env 中设置${close === null ? '' : `；是否想写 ${close}？`}`,
    }
    return problem('reference_unset', where, message, fix)
  }

  /** Judges what of a text is written in the configuration itself, defaults that are in force included. */
  #noticeLiteral(scalar: TextScalar): void {
    const { path, text } = scalar
    const blanked = (name: string): string | undefined => {
      const found = this.#lookup(name)
      return found === undefined || found === '' ? found : outside
    }
    const seen = interpolate(text, blanked).value
    const literal = seen.replaceAll(outside, '')
    const isRedis = path[0] === 'store' || (path[0] === 'sinks' && /^rediss?[+:]/i.test(literal))
    const isUrl = isRedis ? holdsPassword(literal) : hasPasswordInUrl(literal) || hasSecretInQuery(literal)
    // Beside a reference, a word such as `Bearer` is no secret.
    const isSecret = isUrl || (isSecretPath(path) && (seen === literal || longRun.test(literal)))
    if (!isSecret || literal === '' || isOnlyTemplate(literal)) return
    const where = { path, at: scalar.offsetOf(0) }
    const name = path
      .slice(path[0] === 'sources' ? 1 : 0)
      .join('_')
      .toUpperCase()
      .replace(/[^A-Z0-9]+/g, '_')
      .replace(/^_+|_+$/g, '')
    this.problems.push(
      isUrl
        ? warning('secret_literal', where, secretInUrl, secretInUrlFix(`\${${name}_SECRET}`, isRedis))
        : warning('secret_literal', where, literalSecret, literalSecretFix(`\${${name}}`)),
    )
  }

  #noteType(path: Path, value: string): void {
    if (value === 'true' || value === 'false') this.#typed.set(dotted(path), value === 'true')
    else if (/^-?(0|[1-9]\d{0,14})$/.test(value)) this.#typed.set(dotted(path), Number(value))
  }
}

/** Templates that name another source's token hold no secret, and neither does a word such as `Bearer` beside them. */
function isOnlyTemplate(value: string): boolean {
  return value.includes('{{') && !longRun.test(value.replace(/\{\{[^]*?\}\}/g, ' '))
}

const longRun = /[A-Za-z0-9+/=_-]{8,}/
/** Stands for what a reference brought in; no value from outside can hold it. */
const outside = '\u0000'

const literalSecret = {
  en: 'A secret is written in the configuration itself.',
  zh: '密钥直接写在了配置文件里。',
}
const literalSecretFix = (reference: string): Text => ({
  en: `Put it into .env and write "${reference}" here.`,
  zh: `请放入 .env，此处写 "${reference}"。`,
})
const secretInUrl = {
  en: 'A password or another secret is written in this URL.',
  zh: '密码或其他密钥直接写在了这个地址里。',
}
const secretInUrlFix = (reference: string, isStore: boolean): Text => ({
  en:
    `Put the secret into .env and write ${reference} in its place` +
    (isStore ? ', or the whole URL into a file of mode 600: store: "file:PATH".' : '.'),
  zh:
    `请把密钥放入 .env，原处写 ${reference}` +
    (isStore ? '；或把整个地址写入权限为 600 的文件：store: "file:路径"。' : '。'),
})
const fileFix = {
  en: 'Paths count from the directory of the configuration.',
  zh: '相对路径以配置文件所在目录为准。',
}
const badReference = {
  en: 'This "${" begins no reference that is known here.',
  zh: '此处的 "${" 不是可识别的引用。',
}
const badReferenceFix = {
  en: 'Write ${NAME} or ${NAME:-default}; $${ stands for the two characters themselves.',
  zh: '写成 ${NAME} 或 ${NAME:-默认值}；若要字面的 "${"，写 $${。',
}
