import { describe, expect, it } from 'vitest'
import { isRedisUrl, parseRedisUrl, type RedisTarget } from './redis-url.ts'

function targetOf(url: string): RedisTarget {
  const parsed = parseRedisUrl(url)
  if ('problem' in parsed) throw new Error(parsed.problem.en)
  return parsed.target
}

describe('a Redis URL', () => {
  it('of one server: host, port, database, user and password, with defaults', () => {
    expect(targetOf('redis://cache.lan')).toEqual({
      kind: 'single',
      addresses: [{ host: 'cache.lan', port: 6379 }],
      master: '',
      database: 0,
      login: { user: null, password: null },
      sentinelLogin: { user: null, password: null },
      isTls: false,
      caPath: null,
      prefix: 'zhongkong',
      wait: 0,
    })
    expect(targetOf('rediss://me:p%40ss@[::1]:7000/3?prefix=zk:test&wait=2&ca=/etc/ca.pem')).toMatchObject({
      addresses: [{ host: '::1', port: 7000 }],
      database: 3,
      login: { user: 'me', password: 'p@ss' },
      isTls: true,
      caPath: '/etc/ca.pem',
      prefix: 'zk:test',
      wait: 2,
    })
    expect(targetOf('redis://:only-password@h/').login).toEqual({ user: null, password: 'only-password' })
  })

  it('a password from the environment may hold signs of URLs, but for %', () => {
    expect(targetOf('redis://:a/b@c:d?e#f@h:1/2')).toMatchObject({
      login: { user: null, password: 'a/b@c:d?e#f' },
      addresses: [{ host: 'h', port: 1 }],
      database: 2,
    })
  })

  it('of sentinels: all of them, the name of the master, and logins of both', () => {
    expect(targetOf('redis+sentinel://u:p@a,b:1/my%20master/4?sentinel_user=s&sentinel_password=t')).toMatchObject({
      kind: 'sentinel',
      addresses: [
        { host: 'a', port: 26379 },
        { host: 'b', port: 1 },
      ],
      master: 'my master',
      database: 4,
      login: { user: 'u', password: 'p' },
      sentinelLogin: { user: 's', password: 't' },
    })
    expect(targetOf('rediss+sentinel://a/m').isTls).toBe(true)
  })

  it('of a Cluster: some nodes', () => {
    expect(targetOf('redis+cluster://a:1,b:2')).toMatchObject({ kind: 'cluster', database: 0, addresses: [{}, {}] })
  })

  it.each([
    ['redis:', 'begins with none'],
    ['redis+shards://h', 'begins with none'],
    ['redis://', 'host is not understood'],
    ['redis://h:0', 'host is not understood'],
    ['redis://h:65536', 'host is not understood'],
    ['redis://a,b', 'redis+cluster://'],
    ['redis://h/x', 'number of a database'],
    ['redis://h/1/2', 'number of a database'],
    ['redis+cluster://h/1', 'only 0'],
    ['redis+sentinel://h', 'name of the master'],
    ['redis://:%zz@h', '%25'],
    ['redis://h?wait=many', 'option wait'],
    ['redis://h?prefix={x}', 'option prefix'],
    ['rediss://h?ca=ca.pem', 'absolute'],
    ['redis://h?ca=/ca.pem', 'rediss://'],
    ['redis://h?hunter2=1', 'none of prefix'],
  ])('%s is refused, in both languages and without a secret', (url, words) => {
    const parsed = parseRedisUrl(url.replace('//', '//user:hunter2@').replace('user:hunter2@:', 'user:hunter2'))
    expect(parsed).toMatchObject({ problem: { en: expect.stringContaining(words), zh: expect.any(String) } })
    expect(JSON.stringify(parsed)).not.toContain('hunter2')
  })

  it('is told from others by its scheme', () => {
    for (const url of ['redis://h', 'REDISS://h', 'redis+sentinel://h', 'redis+what://h'])
      expect(isRedisUrl(url)).toBe(true)
    for (const url of ['sqlite:redis:', 'postgres://h', 'redis', 'xredis://h']) expect(isRedisUrl(url)).toBe(false)
  })
})
