/** How far the certificate of a database server is looked at, as Node's TLS takes it. */
import { readFileSync } from 'node:fs'
import type { DatabaseUrl } from '../base/database-url.ts'
import { ZhongkongError } from '../base/errors.ts'

export type DatabaseTls = {
  /** The certificates of the authorities to trust, PEM; null for the system's. */
  readonly authorities: string | null
  /** The certificate must be signed by one of them. */
  readonly isVerified: boolean
  /** And it must name the host. */
  readonly isHostVerified: boolean
}

/** Null for a connection without TLS. Throws `config_invalid` when the file of authorities cannot be read. */
export function databaseTls(url: Pick<DatabaseUrl, 'tls' | 'tlsRootFile'>): DatabaseTls | null {
  if (url.tls === 'disable') return null
  return {
    authorities: url.tlsRootFile === null ? null : readAuthorities(url.tlsRootFile),
    isVerified: url.tls !== 'require',
    isHostVerified: url.tls === 'verify-full',
  }
}

function readAuthorities(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ZhongkongError('config_invalid', `store: the file of sslrootcert, ${path}, cannot be read`, {
      cause: error,
      hint: {
        en: 'Give the path of a PEM file with the certificate of the authority, readable by this process.',
        zh: '请提供 CA 证书的 PEM 文件路径，并确保本进程可以读取。',
      },
    })
  }
}
