import { describe, expect, it } from 'vitest'
import { isDatabaseUrl, parseDatabaseUrl, type DatabaseUrl } from './database-url.ts'

function parsed(text: string): DatabaseUrl {
  const answer = parseDatabaseUrl(text)
  if (!answer.ok) throw new Error(answer.why.en)
  return answer.url
}

describe('the URL of a database', () => {
  it('names host, user, password and database, all else by default', () => {
    expect(parsed('postgres://zk:secret@127.0.0.1/tokens')).toEqual({
      kind: 'postgres',
      hosts: [{ host: '127.0.0.1', port: 5432 }],
      user: 'zk',
      password: 'secret',
      database: 'tokens',
      tls: 'disable',
      tlsRootFile: null,
      listen: 'here',
    })
    expect(parsed('mariadb://localhost/tokens')).toMatchObject({
      kind: 'mysql',
      hosts: [{ host: 'localhost', port: 3306 }],
      user: null,
      password: null,
    })
  })

  it('names several hosts, addresses of IPv6 and sockets', () => {
    expect(parsed('postgresql://u@a:1,b,[::1]:3/d').hosts).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 5432 },
      { host: '::1', port: 3 },
    ])
    expect(parsed('mysql://u@%2Frun%2Fmysqld.sock/d').hosts).toEqual([{ host: '/run/mysqld.sock', port: 3306 }])
  })

  it('takes a password with any sign in it, encoded or, but for / ? and #, as it is', () => {
    expect(parsed('mysql://u:a%2Fb%3F%25@h/d')).toMatchObject({ user: 'u', password: 'a/b?%' })
    expect(parsed('mysql://u:p@ss:w@h/d')).toMatchObject({ user: 'u', password: 'p@ss:w' })
  })

  it.each([
    ['postgres://127.0.0.1,localhost/d', 'disable'],
    ['postgres://127.0.0.1,db2/d', 'verify-full'],
    ['postgres://db/d', 'verify-full'],
    ['postgres://db/d?sslmode=disable', 'disable'],
    ['postgres://db/d?sslmode=require', 'require'],
    ['postgres://db/d?sslmode=require&sslrootcert=/ca.pem', 'verify-ca'],
    ['postgres://127.0.0.1/d?sslrootcert=/ca.pem', 'verify-full'],
    ['mysql://db/d?sslmode=verify-ca', 'verify-ca'],
  ])('%s speaks TLS as %s', (text, tls) => {
    expect(parsed(text).tls).toBe(tls)
  })

  it('may hear of changes elsewhere or nowhere', () => {
    expect(parsed('postgres://db/d?listen=off').listen).toBeNull()
    expect(parsed(`postgres://pooler/d?listen=${encodeURIComponent('postgres://u:p@db:1/d')}`).listen).toMatchObject({
      hosts: [{ host: 'db', port: 1 }],
      password: 'p',
    })
  })

  it.each([
    'postgres:',
    'postgres://',
    'postgres://u:hunter2@/d',
    'postgres://u:hunter2@h',
    'postgres://u:hunter2@h/',
    'postgres://u:hunter2@h/a/b',
    'postgres://u:hunter2@h:0/d',
    'postgres://u:hunter2@h:99999/d',
    'postgres://u:hunter2@h,/d',
    'postgres://u:hunter2@h/d?sslmode=prefer',
    'postgres://u:hunter2@h/d?sslmod=require',
    'postgres://u:hunter2%@h/d',
    'postgres://u:hunter2@h/d?sslrootcert=ca.pem',
    'mysql://u:hunter2@h/d?listen=off',
    'mysql://u:hunter2@10.0.0.1/d',
    'mysql://u:hunter2@127.0.0.1/d?sslmode=verify-full',
    'postgres://u:hunter2@h/d?listen=mysql://h/d',
    'postgres://u:hunter2@h/d?listen=hunter2',
  ])('%s is refused, and no secret is repeated', (text) => {
    const answer = parseDatabaseUrl(text)
    expect(answer.ok).toBe(false)
    expect(JSON.stringify(answer)).not.toContain('hunter2')
  })

  it('is known by its scheme', () => {
    for (const text of ['postgres://x', 'postgresql:', 'MySQL://x', 'mariadb://x'])
      expect(isDatabaseUrl(text)).toBe(true)
    for (const text of ['redis://x', 'sqlite:postgres', 'memory:', '']) expect(isDatabaseUrl(text)).toBe(false)
  })
})
