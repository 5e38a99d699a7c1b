/** The set-up scripts on a small clone whose npm and compiler only write down that they were called. */
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const repository = join(import.meta.dirname, '..')
let clone: string

beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'zhongkong-clone-'))
  cpSync(join(repository, 'scripts'), join(clone, 'scripts'), { recursive: true })
  put('package.json', JSON.stringify({ type: 'module', engines: { node: '>=20.19.0' } }))
  put('package-lock.json', lock('6.0.0'))
  put('tsconfig.json', '{}')
  put('tsconfig.build.json', '{}')
  put('src/cli/main.ts', 'one')
  put('fake/npm-cli.cjs', fakeNpm)
})

afterEach(() => rmSync(clone, { recursive: true, force: true }))

const lock = (version: string): string =>
  JSON.stringify({ packages: { '': {}, 'node_modules/typescript': { version } } })

/** Installs as `npm ci` does: everything anew, with npm's own record of it at the end. */
const fakeNpm = `
const fs = require('fs')
fs.appendFileSync('calls', process.argv.slice(2).join(' ') + '\\n')
fs.rmSync('node_modules', { recursive: true, force: true })
fs.mkdirSync('node_modules/typescript/bin', { recursive: true })
fs.writeFileSync('node_modules/typescript/bin/tsc', \`
const fs = require('fs')
fs.appendFileSync('calls', 'tsc\\\\n')
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
fs.mkdirSync('dist/src/cli', { recursive: true })
fs.writeFileSync('dist/src/cli/main.js', 'built')
if (fs.readFileSync('src/cli/main.ts', 'utf8') === 'wrong') process.exit(2)
\`)
fs.copyFileSync('package-lock.json', 'node_modules/.package-lock.json')
`

function put(path: string, text: string): void {
  mkdirSync(join(clone, path, '..'), { recursive: true })
  writeFileSync(join(clone, path), text)
}

type Ran = { readonly code: number; readonly err: string; readonly out: string }

function run(script: string, args: readonly string[] = []): Promise<Ran> {
  const environment = { ...process.env, npm_execpath: join(clone, 'fake/npm-cli.cjs') }
  return new Promise((resolve) => {
    execFile(process.execPath, [join(clone, script), ...args], { cwd: clone, env: environment }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err })
    })
  })
}

const ensure = (): Promise<Ran> => run('scripts/ensure.mjs', ['--build'])

function calls(): string[] {
  const file = join(clone, 'calls')
  const found = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
  rmSync(file, { force: true })
  return found
}

const install = 'ci --loglevel=error --include=dev'

describe('ensure.mjs', () => {
  it('installs and builds a fresh clone, and does nothing when nothing changed', async () => {
    expect((await ensure()).code).toBe(0)
    expect(calls()).toEqual([install, 'tsc'])
    expect(await ensure()).toEqual({ code: 0, out: '', err: '' })
    expect(calls()).toEqual([])
  })

  it('builds again when a source changed, came or went, and does not install', async () => {
    await ensure()
    calls()
    for (const change of [
      () => put('src/cli/main.ts', 'two'),
      () => put('test/simulation/new.ts', 'x'),
      () => rmSync(join(clone, 'test/simulation/new.ts')),
    ]) {
      change()
      expect((await ensure()).code).toBe(0)
      expect(calls()).toEqual(['tsc'])
    }
  })

  it('does not build because a test changed', async () => {
    await ensure()
    calls()
    put('src/cli/main.test.ts', 'x')
    await ensure()
    expect(calls()).toEqual([])
  })

  it('installs and builds again when the lock changed', async () => {
    await ensure()
    calls()
    put('package-lock.json', lock('6.0.1'))
    await ensure()
    expect(calls()).toEqual([install, 'tsc'])
  })

  it('takes an installation that somebody made with npm as it is, when it is the one of the lock', async () => {
    await ensure()
    rmSync(join(clone, 'node_modules/.zhongkong-stamp'))
    calls()
    await ensure()
    expect(calls()).toEqual([])
  })

  it('removes compiled files whose source is gone', async () => {
    await ensure()
    put('dist/src/gone.js', 'x')
    put('src/cli/main.ts', 'two')
    await ensure()
    expect(existsSync(join(clone, 'dist/src/gone.js'))).toBe(false)
    expect(existsSync(join(clone, 'dist/src/cli/main.js'))).toBe(true)
  })

  it('fails when the compiler does, and tries again the next time', async () => {
    put('src/cli/main.ts', 'wrong')
    const { code, err } = await ensure()
    expect(code).toBe(1)
    expect(err).toMatch(/The build failed[\s\S]*编译失败/)
    calls()
    expect((await ensure()).code).toBe(1)
    expect(calls()).toEqual(['tsc'])
  })

  it('installs and builds once when two run at the same time', async () => {
    const both = await Promise.all([ensure(), ensure(), ensure()])
    expect(both.map((one) => one.code)).toEqual([0, 0, 0])
    expect(calls()).toEqual([install, 'tsc'])
  })

  it('is not kept waiting by one that was killed', async () => {
    const first = execFile(process.execPath, [join(clone, 'scripts/ensure.mjs'), '--build'], {
      cwd: clone,
      env: { ...process.env, npm_execpath: join(clone, 'fake/npm-cli.cjs') },
    })
    while (!existsSync(join(clone, 'calls'))) await new Promise((resolve) => setTimeout(resolve, 10))
    first.kill('SIGKILL')
    expect((await ensure()).code).toBe(0)
  })

  it('says in both languages which Node it wants', async () => {
    put('package.json', JSON.stringify({ type: 'module', engines: { node: '>=99.1.0' } }))
    const { code, err } = await ensure()
    expect(code).toBe(1)
    expect(err).toContain(`zhongkong needs Node.js 99.1.0 or newer; this is ${process.versions.node}.`)
    expect(err).toContain('zhongkong 需要 Node.js 99.1.0 或更新的版本')
    expect(calls()).toEqual([])
  })
})

describe('steps.mjs', () => {
  const steps = (body: string): void => {
    const script = "import { runSteps } from './steps.mjs'\nconst node = process.execPath\n"
    put('scripts/run.mjs', `${script}await runSteps([${body}])\n`)
  }
  const step = (name: string, code: string, minutes = 1): string =>
    JSON.stringify({ name, command: ['NODE', '-e', code], minutes }).replace('"NODE"', 'node')

  it('runs all, and ends with 0 only if every step did', async () => {
    steps([step('good', ''), step('bad', 'process.exit(3)'), step('after', "console.log('still run')")].join())
    const { code, out } = await run('scripts/run.mjs')
    expect(code).toBe(1)
    expect(out).toContain('still run')
    expect(out).toContain('✗ bad: exit code 3')
    expect(out.trim().split('\n').at(-1)).toBe('2 passed, 1 failed')
    steps(step('good', ''))
    expect(await run('scripts/run.mjs')).toMatchObject({ code: 0 })
  })

  it('ends a step that does not end, with everything it started', async () => {
    const child = `setInterval(() => require('fs').appendFileSync('alive', 'x'), 20)`
    const hangs = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}]); setInterval(() => {}, 1000)`
    steps(step('hangs', hangs, 0.02))
    const { code, out } = await run('scripts/run.mjs')
    expect(code).toBe(1)
    expect(out).toContain('not done within 0.02 minutes')
    const before = readFileSync(join(clone, 'alive')).length
    expect(before).toBeGreaterThan(0)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(readFileSync(join(clone, 'alive')).length).toBe(before)
  })
})
