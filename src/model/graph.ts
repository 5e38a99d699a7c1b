/**
 * The graph of sources: who is asked with whose token. Pure, and without recursion, so that a thousand sources
 * in a row are no danger. Edges to sources that do not exist are ignored here; the checks name them.
 */

/** The sources that each source needs, by name. */
export type Needs = ReadonlyMap<string, readonly string[]>

/** A token may depend on a token that depends on a token …: at most this many in a row, the first one included. */
export const chainLengthMax = 8

/**
 * Cycles, each as the path that closes it (`[a, b, a]`), beginning with the member that comes first in `needs`.
 * A source is in at most one of them: mending those and looking again finds the rest.
 */
export function findCycles(needs: Needs): string[][] {
  const cycles: string[][] = []
  const reported = new Set<string>()
  const order = new Map([...needs.keys()].map((name, index) => [name, index]))
  visit(needs, {
    onLoop: (loop) => {
      if (loop.some((name) => reported.has(name))) return
      for (const name of loop) reported.add(name)
      const first = loop.reduce((best, name) => ((order.get(name) ?? 0) < (order.get(best) ?? 0) ? name : best))
      const from = loop.indexOf(first)
      cycles.push([...loop.slice(from), ...loop.slice(0, from), first])
    },
  })
  return cycles
}

/** Names so ordered that every source comes after those it needs; members of a cycle come in any order. */
export function topologicalOrder(needs: Needs): string[] {
  const order: string[] = []
  visit(needs, { onDone: (name) => order.push(name) })
  return order
}

/**
 * The longest chain that begins at each source, itself included: `[ticket, weixin]` for a ticket of weixin.
 * Call it only when there are no cycles.
 */
export function longestChains(needs: Needs): Map<string, readonly string[]> {
  const next = new Map<string, string | undefined>()
  const length = new Map<string, number>()
  for (const name of topologicalOrder(needs)) {
    let longest = 0
    for (const need of needs.get(name) ?? []) {
      const own = length.get(need) ?? 0
      if (own <= longest) continue
      longest = own
      next.set(name, need)
    }
    length.set(name, longest + 1)
  }
  const chains = new Map<string, readonly string[]>()
  for (const name of needs.keys()) {
    const chain: string[] = []
    for (let at: string | undefined = name; at !== undefined && chain.length <= needs.size; at = next.get(at))
      chain.push(at)
    chains.set(name, chain)
  }
  return chains
}

type Visitor = {
  /** The members of a cycle that the walk has just closed, in order. */
  readonly onLoop?: (loop: readonly string[]) => void
  /** A source all of whose needs were visited. */
  readonly onDone?: (name: string) => void
}

/** Depth first, over every source once. */
function visit(needs: Needs, { onLoop, onDone }: Visitor): void {
  const done = new Set<string>()
  for (const root of needs.keys()) {
    if (done.has(root)) continue
    const trail: { readonly name: string; at: number }[] = [{ name: root, at: 0 }]
    const position = new Map([[root, 0]])
    for (let top = trail.at(-1); top !== undefined; top = trail.at(-1)) {
      const need = needs.get(top.name)?.[top.at]
      top.at += 1
      if (need === undefined) {
        done.add(top.name)
        position.delete(top.name)
        trail.pop()
        onDone?.(top.name)
        continue
      }
      if (done.has(need) || !needs.has(need)) continue
      const open = position.get(need)
      if (open === undefined) {
        position.set(need, trail.length)
        trail.push({ name: need, at: 0 })
      } else {
        onLoop?.(trail.slice(open).map(({ name }) => name))
      }
    }
  }
}
