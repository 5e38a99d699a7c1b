/** The Redis and the sentinels of deploy/compose, started as their files say: they keep the contract, and are not complained of. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { serviceOf } from '../deploy/compose.ts'
import { isSkipped, obtainServer } from '../servers/obtain-server.ts'
import { until } from '../servers/redis-server.ts'
import {
  freePorts,
  removeFolder,
  serverFolder,
  startProcess,
  type ServerProcess,
  type StartOptions,
} from '../servers/server-process.ts'
import { open, put } from './redis-stage.ts'

const compose = join(import.meta.dirname, '../../deploy/compose')
const started: ServerProcess[] = []
const folder = serverFolder('deploy')
afterAll(async () => {
  await Promise.all(started.map(async (server) => await server.end('SIGKILL')))
  removeFolder(folder)
})

function start(name: string, options: Omit<StartOptions, 'programs' | 'folder'>): void {
  mkdirSync(join(folder, name))
  started.push(startProcess({ ...options, programs: obtainServer('redis'), folder: join(folder, name) }))
}

/** Opens a store as soon as it can be written, and answers what it says of its server. */
async function noticesOf(url: string): Promise<string> {
  let lines: string[] = []
  await until(async () => {
    lines = []
    const store = await open(url, ({ en }) => lines.push(en))
    await put(store, 'a', 'x')
    return true
  })
  return lines.join('\n')
}

describe.skipIf(isSkipped('redis'))('the servers of', () => {
  it('compose/redis.yaml write with each commit and throw nothing away', async () => {
    const [port = 0] = await freePorts(1)
    const [program, ...args] = serviceOf(compose, 'redis.yaml', 'redis').command ?? []
    expect(program).toBe('redis-server')
    start('single', { args: [...args, '--port', String(port)] })
    const url = serviceOf(compose, 'redis.yaml', 'zhongkong').environment.ZHONGKONG_STORE ?? ''
    expect(await noticesOf(url.replace('redis:6379', `127.0.0.1:${port}`))).toBe('')
  }, 30_000)

  it('compose/sentinel.yaml find each other, and a write counts when a replica has it', async () => {
    const { program, environment } = obtainServer('redis')
    const [master = 0, replica = 0, ...sentinels] = await freePorts(5)
    const run = (name: string, port: number, mode = ''): void => {
      const { command = [], environment: own } = serviceOf(compose, 'sentinel.yaml', name)
      const [shell, flag, script = ''] = command
      expect([shell, flag]).toEqual(['sh', '-c'])
      // Names and ports of their own they have in containers only.
      const here = script
        .replaceAll('/data', join(folder, name))
        .replaceAll('redis-1 6379', `127.0.0.1 ${master}`)
        .replaceAll('announce-ip $HOSTNAME', 'announce-ip 127.0.0.1')
        .replace('port 26379', `port ${port}`)
        .replace(/exec redis-\w+ (\S+)/, `exec ${program} $1 --port ${port}${mode}`)
      start(name, {
        program: '/bin/sh',
        args: ['-c', here],
        environment: { ...environment, ...own, HOSTNAME: name },
      })
    }
    run('redis-1', master)
    run('redis-2', replica)
    sentinels.forEach((port, index) => run(`sentinel-${index + 1}`, port, ' --sentinel'))
    const written = serviceOf(compose, 'sentinel.yaml', 'zhongkong').environment.ZHONGKONG_STORE ?? ''
    const hosts = sentinels.map((port) => `127.0.0.1:${port}`).join(',')
    const url = written.replace(/@[^/]+\//, `@${hosts}/`)
    expect(url).toContain('wait=1')
    expect(await noticesOf(url)).toBe('')
  }, 30_000)
})
