/** The program as people run it: real processes, real ports on 127.0.0.1, the simulator for the platforms. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { widthOf } from '../../src/cli/terminal.ts'
import { startSimulator, type RunningSimulator } from '../../src/simulator.ts'
import { build, zhongkong, type Spawned, type SpawnOptions } from '../cli/spawned.ts'

const repository = join(import.meta.dirname, '..', '..')
let folder: string
let running: Spawned[]
let simulators: RunningSimulator[]

beforeAll(build, 120_000)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zhongkong-cli-'))
  running = []
  simulators = []
})

afterEach(async () => {
  for (const { child, ended } of running) {
    child.kill('SIGKILL')
    await ended
  }
  for (const simulator of simulators) await simulator.close()
  rmSync(folder, { recursive: true, force: true })
})

function start(args: readonly string[], options: SpawnOptions = {}): Spawned {
  const spawned = zhongkong(args, { directory: folder, ...options })
  running.push(spawned)
  return spawned
}

async function finished(
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const spawned = start(args, options)
  const { code } = await spawned.ended
  return { code, out: spawned.stdout(), err: spawned.stderr() }
}

async function upstream(): Promise<RunningSimulator> {
  const simulator = await startSimulator()
  simulators.push(simulator)
  return simulator
}

function configuration(simulator: RunningSimulator, more = ''): string {
  return `server: { listen: "127.0.0.1:0" }
store: "memory:"
sources:
  weixin: { provider: wechat, appid: wx0000000000000001, secret: demo-wechat-secret, base_url: "${simulator.url}" }
${more}`
}

const corp = (simulator: RunningSimulator): string =>
  `  corp: { provider: wecom, corpid: ww0000000000000001, secret: demo-wecom-secret, base_url: "${simulator.url}" }\n`

/** Written beside and renamed over, as editors do: a watcher must not see half a file. */
function write(text: string): void {
  writeFileSync(join(folder, 'new.yaml'), text)
  renameSync(join(folder, 'new.yaml'), join(folder, 'zhongkong.yaml'))
}

async function serving(): Promise<{
  server: Spawned
  simulator: RunningSimulator
  url: string
  environment: Record<string, string>
}> {
  const simulator = await upstream()
  write(configuration(simulator))
  const server = start(['serve'])
  const url = (await server.until(/^zhongkong ready on (\S+)$/m))[1] ?? ''
  return { server, simulator, url, environment: { ZHONGKONG_URL: url } }
}

describe('serve', () => {
  it('prints one line on stdout once it answers, logs to stderr as JSON, and ends with 0 on SIGTERM', async () => {
    const { server, url } = await serving()
    expect((await fetch(`${url}/v1/tokens/weixin`)).status).toBe(200)
    expect(await server.stop()).toBe(0)
    expect(server.stdout()).toBe(`zhongkong ready on ${url}\n`)
    const lines = server.stderr().trim().split('\n')
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ level: expect.any(String) as string })
  })

  it('never logs a token or a secret', async () => {
    const { server, url } = await serving()
    const { token } = (await (await fetch(`${url}/v1/tokens/weixin`)).json()) as { token: string }
    await server.stop()
    expect(token.length).toBeGreaterThan(20)
    expect(server.stdout() + server.stderr()).not.toContain(token)
    expect(server.stdout() + server.stderr()).not.toContain('demo-wechat-secret')
  })

  it('reloads sources when the file is saved, and on SIGHUP', async () => {
    const { server, simulator, url } = await serving()
    write(configuration(simulator, corp(simulator)))
    await server.until(/"added":\["corp"\].*the configuration was reloaded/)
    expect((await fetch(`${url}/v1/tokens/corp`)).status).toBe(200)
    server.child.kill('SIGHUP')
    await server.until(/reloaded; nothing changed/)
  })

  it('keeps the old configuration when the new one is wrong, says why, and takes the next right one', async () => {
    const { server, simulator, url } = await serving()
    write(configuration(simulator, '  corp: { provider: wecon }\n'))
    await server.until(/the configuration was not reloaded/)
    expect(server.stderr()).toMatch(/zhongkong\.yaml:5:/)
    expect((await fetch(`${url}/v1/tokens/weixin`)).status).toBe(200)
    write(configuration(simulator, corp(simulator)))
    await server.until(/the configuration was reloaded/)
    expect((await fetch(`${url}/v1/tokens/corp`)).status).toBe(200)
  })

  it('takes a source away with its line, and asks the platform nothing more for it', async () => {
    const { server, simulator, url } = await serving()
    write(configuration(simulator, corp(simulator)))
    await server.until(/"added":\["corp"\]/)
    write(configuration(simulator))
    await server.until(/"removed":\["corp"\]/)
    expect((await fetch(`${url}/v1/tokens/corp`)).status).toBe(404)
  })

  it('ends at once on a second signal', async () => {
    const { server, simulator, url } = await serving()
    simulator.simulator.setKnobs({ delayMs: { ticket: 60_000, token: 60_000, stable_token: 60_000 } })
    write(configuration(simulator, corp(simulator)))
    await server.until(/"added":\["corp"\]/)
    const waiting = fetch(`${url}/v1/tokens/corp`).catch(() => null)
    await server.until(/./)
    server.child.kill('SIGINT')
    await server.until(/stopping/)
    await new Promise((resolve) => setTimeout(resolve, 600))
    const startedAt = performance.now()
    server.child.kill('SIGINT')
    expect((await server.ended).code).toBe(130)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    await waiting
  })

  it('exit code 2 for a wrong configuration, with place and fix, before anything runs', async () => {
    const simulator = await upstream()
    write(configuration(simulator, '  corp: { provider: wecon }\n'))
    const { code, out, err } = await finished(['serve'])
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/zhongkong\.yaml:5:\d+ error/)
    expect(err).not.toMatch(/\n {4}at /)
  })

  it('exit code 2 where there is no configuration', async () => {
    const { code, err } = await finished(['serve'])
    expect(code).toBe(2)
    expect(err).toContain('ZHONGKONG_CONFIG')
  })

  it('exit code 1 for a port that is taken, with what to do', async () => {
    const { url } = await serving()
    const { code, err } = await finished(['serve', '--listen', url.replace('http://', '')])
    expect(code).toBe(1)
    expect(err).toMatch(/is in use by another program\n {2}Choose another port/)
  })
})

describe('get, refresh, status', () => {
  it('work against a running server', async () => {
    const { environment } = await serving()
    const first = await finished(['get', 'weixin'], { environment })
    expect(first).toMatchObject({ code: 0, err: '' })
    expect(first.out.trim().length).toBeGreaterThan(20)
    const refreshed = await finished(['refresh', 'weixin', '--stale', 'another'], { environment })
    expect(refreshed.out).toMatch(/^weixin: not refreshed, that token had been replaced already; version 1, /)
    const table = await finished(['status'], { environment })
    expect(table.out).toMatch(/^SOURCE +STATE +LEFT +NEXT +VER +LAST ERROR\nweixin +fresh /)
    const json = JSON.parse((await finished(['get', 'weixin', '--json'], { environment })).out) as object
    expect(json).toMatchObject({ name: 'weixin', version: 1, token: first.out.trim() })
  })

  it('exit code 1 and one block for an unknown source', async () => {
    const { environment } = await serving()
    const { code, out, err } = await finished(['get', 'nobody'], {
      environment: { ...environment, ZHONGKONG_LANG: 'zh' },
    })
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/^错误：.*404 not_found/)
  })

  it('get --watch prints the next token when there is one, and ends with 0 on SIGINT', async () => {
    const { environment, server } = await serving()
    const watching = start(['get', 'weixin', '--watch'], { environment })
    await watching.until(/^\S{20,}\n/)
    // A stable token is the same until its window, so a forced refresh is what brings a new one.
    await finished(['refresh', 'weixin'], { environment })
    await server.until(/version 2/)
    await watching.until(/^\S{20,}\n\S{20,}\n/)
    watching.child.kill('SIGINT')
    expect((await watching.ended).code).toBe(0)
  })
})

/** Whole seconds that are left; the clock runs on between issue and answer. */
const lifeOf33 = expect.toSatisfy((seconds: number) => seconds > 30 && seconds <= 33) as number

describe('simulate', () => {
  it('plays the platforms, and takes accounts on the fly', async () => {
    const simulator = start(['simulate', '--port', '0', '--ttl', '33'])
    const url = (await simulator.until(/^zhongkong simulator ready on (\S+)$/m))[1] ?? ''
    const ask = async (appid: string, secret: string): Promise<unknown> =>
      (await fetch(`${url}/cgi-bin/token?grant_type=client_credential&appid=${appid}&secret=${secret}`)).json()
    expect(await ask('wx0000000000000001', 'demo-wechat-secret')).toMatchObject({ expires_in: lifeOf33 })
    expect(await ask('wx2', 's')).toMatchObject({ errcode: 40013 })
    const body = JSON.stringify({ kind: 'wechat', id: 'wx2', secret: 's' })
    expect((await fetch(`${url}/_simulator/accounts`, { method: 'POST', body })).status).toBe(200)
    expect(await ask('wx2', 's')).toMatchObject({ expires_in: lifeOf33 })
    expect(await simulator.stop()).toBe(0)
  })
})

describe('demo', () => {
  it.each(['en', 'zh'])('says that it is simulated, and the printed curl works when pasted (%s)', async (language) => {
    const demo = start(['start', '--port', '0'], { environment: { ZHONGKONG_LANG: language } })
    await demo.until(/^zhongkong ready on http:\/\/127\.0\.0\.1:\d+$/m)
    const [command] = await demo.until(/curl \S+/)
    expect(demo.stdout()).toMatch(language === 'zh' ? /模拟/ : /SIMULATED/)
    const answer = JSON.parse(execFileSync('/bin/sh', ['-c', `${command} --silent`], { encoding: 'utf8' })) as object
    expect(answer).toMatchObject({ name: 'weixin', version: expect.any(Number) as number })
    for (const line of demo.stdout().split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(80)
    expect(await demo.stop()).toBe(0)
  })

  it('has a token of every source', async () => {
    const demo = start(['demo', '--port', '0'])
    const url = (await demo.until(/^zhongkong ready on (\S+)$/m))[1] ?? ''
    const names = ['weixin', 'weixin_jsticket', 'corp', 'corp_jsticket', 'anything', 'oauth']
    const statuses = await Promise.all(names.map(async (name) => (await fetch(`${url}/v1/tokens/${name}`)).status))
    expect(statuses).toEqual(names.map(() => 200))
  })

  it('takes the next port when its own is taken, and says so', async () => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const { port } = blocker.address() as AddressInfo
    try {
      const demo = start(['demo', '--port', String(port)])
      const [, found] = await demo.until(/^zhongkong ready on http:\/\/127\.0\.0\.1:(\d+)$/m)
      expect(Number(found)).toBeGreaterThan(port)
      await demo.until(new RegExp(`Port ${port} is taken, so this runs on ${found ?? ''}`))
    } finally {
      blocker.close()
    }
  })
})

describe('npm start', () => {
  // A supervisor signals npm; a terminal signals everybody in the foreground.
  it.each([
    ['SIGTERM', 'npm alone'],
    ['SIGINT', 'the whole group'],
  ] as const)('leaves nothing running after %s to %s', async (signal, whom) => {
    const npm = spawn('npm', ['start', '--', '--port', '0'], {
      cwd: repository,
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    try {
      const url = await new Promise<string>((resolve) => {
        let out = ''
        npm.stdout.setEncoding('utf8').on('data', (text: string) => {
          out += text
          const found = /^zhongkong ready on (\S+)$/m.exec(out)?.[1]
          if (found !== undefined) resolve(found)
        })
      })
      // The pipe closes when the last process that has it open ends.
      const closed = new Promise((resolve) => npm.stdout.once('close', resolve))
      process.kill(whom === 'npm alone' ? npm.pid! : -npm.pid!, signal)
      await closed
      await expect(fetch(url)).rejects.toThrow()
    } finally {
      try {
        process.kill(-npm.pid!, 'SIGKILL')
      } catch {
        // Nothing of the group is left.
      }
    }
  })
})

describe('the program itself', () => {
  it('ends quietly when its reader goes away', () => {
    const program = join(repository, 'dist', 'src', 'cli', 'main.js')
    const script = `"${process.execPath}" "${program}" --help | true; echo done`
    const { stdout, stderr } = spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' })
    expect([stdout, stderr]).toEqual(['done\n', ''])
  })

  it('is one fast start: help within a second', async () => {
    const startedAt = performance.now()
    expect((await finished(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  })

  it('exit code 2 and a guess for a mistyped command', async () => {
    const { code, err } = await finished(['srve'])
    expect([code, err]).toEqual([2, 'error: unknown command "srve"\n  Did you mean serve?\n'])
  })
})
