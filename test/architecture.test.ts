/** The walls of ARCHITECTURE.md, read from the sources; and proof that each kind of breach would be seen. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { outsideBreaches } from './architecture/outside-world.ts'
import { parseTree, repository, sourcesOnDisk } from './architecture/source-tree.ts'
import { untidy } from './architecture/tidiness.ts'
import { cycles, doors, wallBreaches, type Breach } from './architecture/walls.ts'

const description = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as Record<string, object>
const packages = ['dependencies', 'optionalDependencies'].flatMap((part) => Object.keys(description[part] ?? {}))

function breaches(texts: ReadonlyMap<string, string>): Breach[] {
  const tree = parseTree(texts)
  return [...wallBreaches(tree, packages), ...cycles(tree), ...outsideBreaches(tree), ...untidy(tree)]
}

const shown = (found: readonly Breach[]): string[] =>
  found.map((breach) => `${breach.path}:${breach.line} [${breach.rule}] ${breach.what}`)

describe('the sources', () => {
  const texts = sourcesOnDisk()

  it('are all looked at', () => {
    expect(texts.size).toBeGreaterThan(50)
    expect([...texts.keys()]).toContain('src/model/entry.ts')
    expect([...texts.keys()]).toContain('src/cli/main.ts')
  })

  it('keep every wall', () => {
    expect(shown(breaches(texts))).toEqual([])
  })

  it('have every door that the walls name', () => {
    const rooms = new Set([...texts.keys()].map((path) => path.split('/')[1]))
    const missing = Object.entries(doors)
      .filter(([room]) => rooms.has(room))
      .flatMap(([room, files]) => files.map((file) => `src/${room}/${file}`))
      .filter((path) => !texts.has(path))
    expect(missing).toEqual([])
  })
})

/** A small house in order; each planted breach is one file put into it. */
const house: readonly (readonly [string, string])[] = [
  ['src/base/env.ts', '/** Env. */\nexport const env = 1\n'],
  ['src/model/entry.ts', "/** Entry. */\nimport { env } from '../base/env.ts'\nexport const entry = env\n"],
  ['src/stores/store.ts', "/** Store. */\nimport { entry } from '../model/entry.ts'\nexport const store = entry\n"],
  ['src/stores/memory.ts', "/** Memory. */\nimport { store } from './store.ts'\nexport const memory = store\n"],
  ['src/keeper/keeper.ts', "/** Keeper. */\nimport { store } from '../stores/store.ts'\nexport const keeper = store\n"],
  ['src/app.ts', "/** App. */\nimport { memory } from './stores/memory.ts'\nexport const app = memory\n"],
]

function planted(path: string, body: string): string[] {
  const files = new Map(house)
  files.set(path, `/** A file. */\n${body}\n`)
  return [...new Set(breaches(files).map((breach) => `${breach.rule} ${breach.path}`))]
}

describe('a planted breach is seen', () => {
  it('and a house in order has none', () => {
    expect(shown(breaches(new Map(house)))).toEqual([])
  })

  it.each([
    ['wall', 'src/base/x.ts', "import { entry } from '../model/entry.ts'\nexport const x = entry"],
    ['wall', 'src/model/x.ts', "import type { store } from '../stores/store.ts'\nexport type X = typeof store"],
    ['wall', 'src/providers/x.ts', "export const x = await import('../stores/store.ts')"],
    ['wall', 'src/events/x.ts', "export { keeper } from '../keeper/keeper.ts'\nexport const x = 1"],
    ['wall', 'src/access/x.ts', "export type X = typeof import('../stores/store.ts')"],
    ['wall', 'src/simulator/x.ts', "import { entry } from '../model/entry.ts'\nexport const x = entry"],
    ['wall', 'src/http/x.ts', "import { store } from '../stores/store.ts'\nexport const x = store"],
    ['wall', 'src/keeper/x.ts', "import { app } from '../app.ts'\nexport const x = app"],
    ['door', 'src/keeper/x.ts', "import { memory } from '../stores/memory.ts'\nexport const x = memory"],
    ['room', 'src/attic/x.ts', 'export const x = 1'],
    ['import', 'src/base/x.ts', "import { env } from './env.js'\nexport const x = env"],
    ['import', 'src/base/x.ts', "import { env } from '../../test/env.ts'\nexport const x = env"],
    ['package', 'src/keeper/x.ts', "import { z } from 'zod'\nexport const x = z"],
    ['package', 'src/http/x.ts', "import { z } from 'left-pad'\nexport const x = z"],
    ['package', 'src/http/x.ts', "import { z } from 'zhongkong'\nexport const x = z"],
    ['size', 'src/base/x.ts', `export const x = [\n${'  1,\n'.repeat(350)}]`],
    ['name', 'src/base/utils.ts', 'export const x = 1'],
    ['name', 'src/base/shared/x.ts', 'export const x = 1'],
    ['name', 'src/base/theThing.ts', 'export const x = 1'],
    ['default', 'src/base/x.ts', 'export default 1'],
    ['default', 'src/base/x.ts', 'export default function x() {}'],
    ['default', 'src/base/x.ts', 'const x = 1\nexport { x as default }'],
    ['barrel', 'src/base/x.ts', "export * from './env.ts'\nexport const x = 1"],
    ['barrel', 'src/base/x.ts', "export { env } from './env.ts'"],
    ['barrel', 'src/stores/x.ts', "export type * from './store.ts'\nexport const x = 1"],
  ])('%s: %s %j', (rule, path, body) => {
    expect(planted(path, body)).toEqual([`${rule} ${path}`])
  })

  it('but a door may show the types of its room', () => {
    expect(planted('src/simulator/simulator.ts', "export type * from '../base/env.ts'\nexport const x = 1")).toEqual([])
  })

  it('cycle: also one of types only', () => {
    const files = new Map(house)
    files.set(
      'src/base/env.ts',
      "/** Env. */\nimport type { other } from './other.ts'\nexport const env: typeof other = 1\n",
    )
    files.set('src/base/other.ts', "/** Other. */\nimport { env } from './env.ts'\nexport const other = env\n")
    expect(breaches(files).map((breach) => breach.what)).toEqual([
      'src/base/env.ts → src/base/other.ts → src/base/env.ts',
    ])
  })

  it('purpose: a file that does not say what it is for', () => {
    const files = new Map([...house, ['src/base/x.ts', 'export const x = 1\n'] as const])
    expect(breaches(files).map((breach) => breach.rule)).toEqual(['purpose'])
  })

  it.each([
    'export const x = Date.now()',
    'export const x = new Date()',
    'export const x = Date()',
    "export const x = Date['now']()",
    'export const { now } = Date',
    'export const x = { clock: Date }',
    'export const x = performance.now()',
    'setTimeout(() => undefined, 1)',
    'export const x = { setTimeout }',
    'export const x = globalThis.setInterval',
    'export const x = Math.random()',
    'export const x = crypto.randomUUID()',
    "export const x = fetch('http://127.0.0.1')",
    'export const x = (ask = fetch) => ask',
    'export const x = AbortSignal.timeout(5)',
    'export const x = process.env.HOME',
    "export const x = process['env']",
    'export const { env } = process',
    "import { randomBytes } from 'node:crypto'\nexport const x = randomBytes",
    "import { randomUUID as id } from 'node:crypto'\nexport const x = id",
    "import * as crypto from 'node:crypto'\nexport const x = crypto",
    "import crypto from 'node:crypto'\nexport const x = crypto",
    "import { setTimeout as wait } from 'node:timers/promises'\nexport const x = wait",
    "import { createServer } from 'node:http'\nexport const x = createServer",
    "import { connect } from 'node:net'\nexport const x = connect",
    "import { lookup } from 'node:dns/promises'\nexport const x = lookup",
    "import { request } from 'undici'\nexport const x = request",
    "export const x = await import('node:https')",
  ])('outside: %j', (body) => {
    expect(planted('src/http/x.ts', body)).toEqual(['outside src/http/x.ts'])
  })

  it.each([
    'export const x = (env: { fetch: () => void }): void => env.fetch()',
    'export const x = (fetch: () => void): void => fetch()',
    'const fetch = 1\nexport const x = { fetch }',
    'export const x = ({ clock: { now: performance } = { now: 1 } }): number => performance',
    'export const x = (at: number): Date => new Date(at)',
    'export const x = (value: unknown): boolean => value instanceof Date',
    "export const x = Date.parse('2026-01-01')",
    'export const x = (ask: typeof fetch): typeof fetch => ask',
    'export type X = { fetch: typeof globalThis.fetch; setTimeout: number }',
    "import { createHash, timingSafeEqual } from 'node:crypto'\nexport const x = [createHash, timingSafeEqual]",
    "import { isIP } from 'node:net'\nexport const x = isIP",
    "import type { IncomingMessage } from 'node:http'\nexport type X = IncomingMessage",
    'export const x = process.platform',
    'export const x = AbortSignal.any([])',
  ])('and what is harmless is left alone: %j', (body) => {
    expect(planted('src/http/x.ts', body)).toEqual([])
  })
})
