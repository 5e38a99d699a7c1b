/** What processor time is spent on, by room of the source, by package and by native part. Sampling costs some percent itself. */
import { Session } from 'node:inspector/promises'
import type { Profiler } from 'node:inspector'

export type Share = { readonly part: string; readonly share: number }

/** Begins to sample; the answer stops and tells the shares of the time that was not idle, the largest first. */
export async function startProfile(): Promise<() => Promise<readonly Share[]>> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: 200 })
  await session.post('Profiler.start')
  return async () => {
    const { profile } = await session.post('Profiler.stop')
    session.disconnect()
    return sharesOf(profile)
  }
}

function sharesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): readonly Share[] {
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)))
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const partOf = (id: number): string => {
    const node = byId.get(id)
    if (node === undefined) return 'unknown'
    const { functionName, url } = node.callFrame
    if (url !== '') return partOfUrl(url)
    if (functionName.startsWith('(')) return functionName
    // A native function is its caller's, except where it is what we want to see.
    const parent = parents.get(id)
    const from = parent === undefined ? '' : (byId.get(parent)?.callFrame.url ?? '')
    if (from.endsWith('/sqlite-driver.js')) return 'SQLite itself, with the sync to disk'
    return parent === undefined ? functionName : partOf(parent)
  }
  const micros = new Map<string, number>()
  samples.forEach((id, index) => {
    const part = partOf(id)
    if (part !== '(idle)') micros.set(part, (micros.get(part) ?? 0) + (timeDeltas[index] ?? 0))
  })
  const total = [...micros.values()].reduce((sum, each) => sum + each, 0)
  return [...micros]
    .map(([part, spent]) => ({ part, share: spent / total }))
    .toSorted((left, right) => right.share - left.share)
}

function partOfUrl(url: string): string {
  const inPackage = /node_modules\/((?:@[^/]+\/)?[^/]+)(?!.*node_modules)/.exec(url)?.[1]
  if (inPackage !== undefined) return inPackage
  if (url.startsWith('node:')) return url.startsWith('node:internal/deps/undici') ? 'node: its own undici' : 'node:'
  return /\/dist\/(src\/[^/]+|bench)/.exec(url)?.[1] ?? url
}
