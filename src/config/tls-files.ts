/** The certificate and key of `server.tls`: there, readable, and PEM. */
import { resolve } from 'node:path'
import type { Config } from './config.ts'
import { problem, warning, type Problem } from './problem.ts'
import { isOpenToOthers, readText, type ReadFile } from './read-file.ts'
import type { WrittenConfig } from './schema.ts'
import type { Checked } from './server-checks.ts'

const pemBytesMax = 1_048_576

export async function checkTlsFiles(
  written: WrittenConfig,
  directory: string,
  readFile: ReadFile,
): Promise<Checked<Config['server']['tls']>> {
  const { tls } = written.server
  if (tls === undefined) return { value: null, problems: [] }
  const problems: Problem[] = []
  for (const part of ['cert', 'key'] as const) {
    const path = resolve(directory, tls[part])
    const where = { path: ['server', 'tls', part] }
    const read = await readText(readFile, path, pemBytesMax)
    const because = read.ok ? { en: 'it is no PEM file', zh: '不是 PEM 文件' } : read.because
    const block = part === 'key' ? /-----BEGIN [A-Z ]*PRIVATE KEY-----/ : /-----BEGIN CERTIFICATE-----/
    if (!read.ok || !block.test(read.text)) {
      const message = {
        en: `The file ${path} cannot be used: ${because.en}.`,
        zh: `文件 ${path} 无法使用：${because.zh}。`,
      }
      problems.push(problem('secret_file_unreadable', where, message))
    } else if (part === 'key' && isOpenToOthers(read.mode)) {
      const message = {
        en: 'Other users of this machine may read the private key.',
        zh: '本机其他用户可以读取该私钥。',
      }
      problems.push(warning('secret_file_open', where, message, { en: `chmod 600 ${path}`, zh: `chmod 600 ${path}` }))
    }
  }
  return { value: { cert: resolve(directory, tls.cert), key: resolve(directory, tls.key) }, problems }
}
