/** Real processes on one SQLite file: they share it safely, and kill -9 loses nothing that was acknowledged. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { realEnv } from '../../src/base/real-env.ts'
import { loadSqlite } from '../../src/stores/sqlite-driver.ts'
import { openSqliteStore } from '../../src/stores/sqlite.ts'

const script = join(import.meta.dirname, 'sqlite-child.mjs')
const built = join(import.meta.dirname, '../../dist/src/stores/sqlite.js')
const env = realEnv()
let directory: string
let path: string
const children: ChildProcess[] = []

beforeEach(() => {
  if (!existsSync(built)) throw new Error('these tests run the built sources: run "npm run build" first')
  directory = mkdtempSync(join(tmpdir(), 'zhongkong-processes-'))
  path = join(directory, 'store.db')
})
afterEach(async () => {
  await Promise.all(children.splice(0).map(kill))
  rmSync(directory, { recursive: true, force: true })
})

type Child = { readonly process: ChildProcess; readonly lines: string[]; readonly ended: Promise<number | null> }

function start(...args: string[]): Child {
  const child = spawn(process.execPath, [script, args[0]!, path, ...args.slice(1)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  const lines: string[] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop()!
    lines.push(...parts)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => lines.push(`stderr: ${text}`))
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  return { process: child, lines, ended }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

async function linesOf(child: Child, count: number): Promise<void> {
  for (let waited = 0; child.lines.length < count; waited += 10) {
    if (waited > 15_000) throw new Error(`only ${child.lines.length} lines: ${child.lines.join('; ').slice(0, 500)}`)
    await env.clock.sleep(10)
  }
}

/** What SQLite itself says of the file. */
async function integrity(): Promise<unknown> {
  const database = new (await loadSqlite())(path)
  const found = database.prepare('PRAGMA integrity_check').all()
  database.close()
  return found
}

describe('processes on one file', () => {
  it('4 processes that count to 300 each make exactly 1200, all of them starting at once on no file', async () => {
    const counters = Array.from({ length: 4 }, () => start('count', '300'))
    for (const counter of counters) {
      expect(await counter.ended, counter.lines.join('; ')).toBe(0)
      expect(counter.lines).toEqual(['ready', 'done'])
    }
    const store = await openSqliteStore({ path, env })
    expect(await store.read('count')).toEqual({ body: '1200', revision: 1200 })
    await store.close()
    expect(await integrity()).toMatchObject([{ integrity_check: 'ok' }])
  }, 60_000)

  it('writers killed at any moment lose no acknowledged write, and leave a whole file that can be written at once', async () => {
    const acknowledged = new Map<string, number>()
    for (let round = 0; round < 6; round += 1) {
      const writers = ['a', 'b'].map((prefix) => start('write', prefix))
      await Promise.all(writers.map((writer) => linesOf(writer, 40 + 25 * round)))
      await Promise.all(writers.map((writer) => kill(writer.process)))
      await Promise.all(writers.map((writer) => writer.ended))
      for (const line of writers.flatMap((writer) => writer.lines)) {
        expect(line).not.toContain('stderr')
        const [name, revision] = line.split(' ')
        if (revision !== undefined) acknowledged.set(name!, Math.max(acknowledged.get(name!) ?? 0, Number(revision)))
      }
      const started = performance.now()
      const store = await openSqliteStore({ path, env })
      expect(await store.write(`probe-${round}`, { body: 'x', dueAt: 0 }, 0)).toBe(1)
      expect(performance.now() - started).toBeLessThan(2_000)
      for (const [name, revision] of acknowledged) {
        const kept = await store.read(name)
        // One write per name may have been committed without its answer having been heard.
        expect([revision, revision + 1]).toContain(kept.revision)
        expect(kept.body).toBe(`${kept.revision}:`.padEnd(1_024, 'x'))
      }
      expect(await integrity()).toMatchObject([{ integrity_check: 'ok' }])
      await store.close()
    }
    expect(acknowledged.size).toBe(16)
  }, 60_000)

  it('a process that hears of the writes of another does so within a second', async () => {
    const store = await openSqliteStore({ path, env })
    const { cursor } = await store.changes(null, 1)
    const told = new Promise<void>((resolve) => store.watch(resolve))
    const writer = start('write', 'w')
    await linesOf(writer, 2)
    const started = performance.now()
    await told
    expect(performance.now() - started).toBeLessThan(1_000)
    expect((await store.changes(cursor, 100)).changed.length).toBeGreaterThan(0)
    await kill(writer.process)
    await store.close()
  }, 30_000)
})
