/** Who may import whom: the rooms of ARCHITECTURE.md as data, and what breaks them. */
import type { Import, Source, Tree } from './source-tree.ts'

export type Breach = { readonly rule: string; readonly path: string; readonly line: number; readonly what: string }

const everything = [
  'base',
  'wire',
  'model',
  'config',
  'providers',
  'stores',
  'access',
  'events',
  'keeper',
  'http',
].concat(['callbacks', 'simulator', 'client', 'cli', 'root'])

/** The rooms that a room may import from, beside itself. */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  wire: [],
  model: ['base'],
  config: ['base', 'model'],
  providers: ['base', 'model'],
  stores: ['base', 'model'],
  access: ['base', 'model'],
  events: ['base', 'model'],
  keeper: ['base', 'model', 'providers', 'stores'],
  callbacks: ['base', 'model'],
  http: ['base', 'model', 'wire', 'keeper', 'access', 'events', 'callbacks'],
  simulator: ['base'],
  client: ['wire'],
  cli: everything,
  root: everything.filter((room) => room !== 'cli'),
}

/** The files of a room that other rooms may import. Rooms without a line here are all door. */
export const doors: Readonly<Record<string, readonly string[]>> = {
  config: ['config.ts'],
  providers: ['provider.ts', 'catalogue.ts'],
  stores: ['store.ts'],
  keeper: ['keeper.ts'],
  access: ['access.ts'],
  events: ['bus.ts'],
  callbacks: ['callback.ts'],
  http: ['server.ts', 'listen.ts'],
  simulator: ['simulator.ts'],
  client: ['index.ts'],
}

/** Those who put the parts together may look behind the doors. */
const builders = ['root', 'cli']

/** Rooms that load no package at run time, and the one file in them that is the real world. */
const withoutPackages = ['base', 'model', 'keeper', 'client']
const realWorld = 'src/base/real-env.ts'

export function wallBreaches({ sources }: Tree, packages: readonly string[]): Breach[] {
  const known = new Set(sources.map((source) => source.path))
  return sources.flatMap((source) => {
    const rooms = mayImport[source.room]
    if (rooms === undefined) {
      return [{ rule: 'room', path: source.path, line: 1, what: `${source.room} is no room of ARCHITECTURE.md` }]
    }
    return source.imports.flatMap((one) => {
      const breach = one.target === null ? packageBreach(source, one, packages) : fileBreach(source, one.target, known)
      return breach === null ? [] : [{ ...breach, path: source.path, line: one.line }]
    })
  })
}

type Fault = Pick<Breach, 'rule' | 'what'>

function fileBreach(source: Source, target: string, known: ReadonlySet<string>): Fault | null {
  if (!known.has(target)) return { rule: 'import', what: `${target} is no source file (imports end in .ts)` }
  const [, room = '', ...rest] = target.split('/')
  const targetRoom = rest.length === 0 ? 'root' : room
  if (targetRoom === source.room) return null
  if (!(mayImport[source.room] ?? []).includes(targetRoom)) {
    return { rule: 'wall', what: `${source.room} may not import ${targetRoom} (${target})` }
  }
  const open = doors[targetRoom]
  if (open === undefined || open.includes(rest.join('/')) || builders.includes(source.room)) return null
  return { rule: 'door', what: `${target} is no door of ${targetRoom}` }
}

function packageBreach(source: Source, one: Import, packages: readonly string[]): Fault | null {
  if (one.specifier.startsWith('node:')) return null
  const parts = one.specifier.split('/')
  const name = one.specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
  if (!packages.includes(name)) return { rule: 'package', what: `${name} is no dependency in package.json` }
  if (one.isTypeOnly || source.path === realWorld || !withoutPackages.includes(source.room)) return null
  return { rule: 'package', what: `${source.room} loads no packages at run time (${name})` }
}

/** Each cycle of imports once, as the way round it; types count too, as a reader goes round all the same. */
export function cycles({ sources }: Tree): Breach[] {
  const next = new Map(
    sources.map((source) => [source.path, [...new Set(source.imports.flatMap((one) => one.target ?? []))]]),
  )
  const found: Breach[] = []
  const done = new Set<string>()
  const way: string[] = []
  const visit = (path: string): void => {
    const at = way.indexOf(path)
    if (at !== -1) {
      found.push({ rule: 'cycle', path, line: 1, what: [...way.slice(at), path].join(' → ') })
      return
    }
    if (done.has(path)) return
    way.push(path)
    for (const target of next.get(path) ?? []) visit(target)
    way.pop()
    done.add(path)
  }
  for (const path of next.keys()) visit(path)
  return found
}
