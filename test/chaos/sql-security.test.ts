/** TLS to database servers, the key that nodes share, and a server that is full. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseDatabaseUrl } from '../../src/base/database-url.ts'
import { realEnv } from '../../src/base/real-env.ts'
import { newEntry } from '../../src/model/entry.ts'
import { openStore } from '../../src/stores/open-store.ts'
import { isSkipped } from '../servers/obtain-server.ts'
import { serverIdentity } from '../servers/server-process.ts'
import { sqlSubjects, urlOf, type SqlSubject } from './sql-subjects.ts'

let certificates: string
const env = realEnv()
beforeAll(() => {
  certificates = mkdtempSync(join(tmpdir(), 'zhongkong-certificates-'))
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key.pem']
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  execFileSync('openssl', ['req', '-x509', ...key, '-out', 'cert.pem', '-days', '2', ...names], {
    cwd: certificates,
    stdio: 'pipe',
  })
  // PostgreSQL wants the key for itself alone.
  const { uid, gid } = serverIdentity
  chmodSync(certificates, 0o755)
  chmodSync(join(certificates, 'key.pem'), 0o600)
  if (uid !== undefined && gid !== undefined) chownSync(join(certificates, 'key.pem'), uid, gid)
})
afterAll(async () => {
  rmSync(certificates, { recursive: true, force: true })
  await env.close()
})

const entry = newEntry(0)

describe.each(['postgres', 'mariadb'] as const)('a %s server', (kind) => {
  describe.skipIf(isSkipped(sqlSubjects[kind].server))('with a certificate', () => {
    let server: SqlSubject
    let url: string
    beforeAll(async () => {
      const cert = join(certificates, 'cert.pem')
      const key = join(certificates, 'key.pem')
      server = await sqlSubjects[kind].start(
        kind === 'postgres'
          ? ['ssl = on', `ssl_cert_file = '${cert}'`, `ssl_key_file = '${key}'`]
          : [`--ssl-cert=${cert}`, `--ssl-key=${key}`],
      )
      url = await server.newDatabase()
    }, 120_000)
    afterAll(async () => await server.dispose())

    const outcome = async (host: string, parameters: string): Promise<string> => {
      const authority = parameters.replace('CA', join(certificates, 'cert.pem'))
      const answer = parseDatabaseUrl(url.replace('127.0.0.1', host) + authority)
      if (!answer.ok) return 'refused'
      try {
        const store = await sqlSubjects[kind].open(answer.url, env)
        await store.close()
        return 'opened'
      } catch (error) {
        return (error as { code: string }).code
      }
    }

    it.each([
      ['localhost', '?sslmode=verify-full&sslrootcert=CA', 'opened'],
      ['127.0.0.1', '?sslmode=verify-full&sslrootcert=CA', kind === 'postgres' ? 'store_unavailable' : 'refused'],
      ['127.0.0.1', '?sslmode=verify-ca&sslrootcert=CA', 'opened'],
      ['127.0.0.1', '?sslmode=verify-ca', 'store_unavailable'],
      ['127.0.0.1', '?sslmode=require&sslrootcert=CA', 'opened'],
      ['127.0.0.1', '?sslmode=require', 'opened'],
      ['127.0.0.1', '', 'opened'],
      ['localhost', '?sslmode=verify-full&sslrootcert=/nowhere.pem', 'config_invalid'],
    ])('met as %s with %s: %s', async (host, parameters, expected) => {
      expect(await outcome(host, parameters)).toBe(expected)
    })

    it('is asked for a secure connection when the URL wants one', async () => {
      const store = await sqlSubjects[kind].open(urlOf(`${url}?sslmode=require`), env)
      const [row] =
        kind === 'postgres'
          ? await server.byHand(
              `select bool_and(ssl) as is_secure from pg_stat_ssl join pg_stat_activity using (pid)
               where application_name = 'zhongkong'`,
              url,
            )
          : await server.byHand(`alter user 'zk'@'%' require ssl; select 1`, url)
      if (kind === 'postgres') expect(row).toEqual({ is_secure: true })
      else {
        expect(await outcome('127.0.0.1', '?sslmode=require')).toBe('opened')
        expect(await outcome('127.0.0.1', '')).toBe('store_unavailable')
        await server.byHand(`alter user 'zk'@'%' require none`, url)
      }
      await store.close()
    })

    it('holds sealed records, and another key is noticed at the start', async () => {
      const where = await server.newDatabase()
      const key = new Uint8Array(32).fill(7)
      const store = await openStore({ url: where, encryptionKey: key, env })
      expect(await store.write('a', { entry, dueAt: 0 }, 0)).toBe(1)
      await store.close()
      expect(JSON.stringify(await server.byHand('select body from zhongkong_entries', where))).toContain('zk1.')
      const again = await openStore({ url: where, encryptionKey: key, env })
      expect((await again.read('a')).entry).toEqual(entry)
      await again.close()
      const other = openStore({ url: where, encryptionKey: new Uint8Array(32).fill(8), env })
      await expect(other).rejects.toMatchObject({ code: 'seal_broken' })
    })
  })
})

describe.skipIf(isSkipped('mariadb'))('a MariaDB server without room', () => {
  it('says so, and serves what it has', async () => {
    // The store's tables lie in one file that may not grow.
    const server = await sqlSubjects.mariadb.start(['--innodb-file-per-table=0', '--innodb-data-file-path=ibdata1:12M'])
    try {
      const url = await server.newDatabase()
      const store = await sqlSubjects.mariadb.open(urlOf(url), env)
      expect(await store.write('kept', { body: 'x', dueAt: 0 }, 0)).toBe(1)
      const filled = async (): Promise<unknown> => {
        for (let index = 0; index < 30; index += 1) {
          try {
            await store.write(`n${index}`, { body: 'x'.repeat(900_000), dueAt: 0 }, 0)
          } catch (error) {
            return error
          }
        }
        return null
      }
      expect(await filled()).toMatchObject({ code: 'store_full' })
      expect(await store.read('kept')).toEqual({ body: 'x', revision: 1 })
      await store.close()
    } finally {
      await server.dispose()
    }
  }, 60_000)
})
