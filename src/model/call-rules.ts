/**
 * Rules about calls: a glob over paths (`/cgi-bin/user/*`), or a method, a space and such a glob (`GET /cgi-bin/*`). They are
 * held against the decoded path, so that there is one way to write each path.
 */
import { compileGlobs } from './glob.ts'
import type { CallRules } from './source.ts'

/** What a rule looks like. */
export const callRule = /^(?:[A-Z]+ )?(?:\*|\/[^?#]*)$/

export type MayCall = (method: string, path: string) => boolean

/** Compiles rules once. What is denied is denied in any letter case, as some upstreams do not mind the case of a path. */
export function compileRules({ allow, deny }: Pick<CallRules, 'allow' | 'deny'>): MayCall {
  const isAllowed = allow === null ? () => true : anyOf(allow)
  const isDenied = anyOf(deny.map(lowerPath))
  return (method, path) => {
    const lower = path.toLowerCase()
    // Some servers take `/a;b/c/` for `/a/c`.
    const plain = lower.replace(/;[^/]*/g, '').replace(/\/+$/, '')
    return isAllowed(method, path) && !isDenied(method, lower) && !isDenied(method, plain)
  }
}

function anyOf(rules: readonly string[]): MayCall {
  const byMethod = new Map<string, string[]>()
  for (const rule of rules) {
    const { method, glob } = parted(rule)
    byMethod.set(method, [...(byMethod.get(method) ?? []), glob])
  }
  const compiled = new Map([...byMethod].map(([method, globs]) => [method, compileGlobs(globs)]))
  return (method, path) => compiled.get('')?.(path) === true || compiled.get(method)?.(path) === true
}

function parted(rule: string): { readonly method: string; readonly glob: string } {
  const [, method = '', glob = ''] = /^(?:([A-Z]+) )?(.*)$/s.exec(rule) ?? []
  return { method, glob }
}

function lowerPath(rule: string): string {
  const { method, glob } = parted(rule)
  return method === '' ? glob.toLowerCase() : `${method} ${glob.toLowerCase()}`
}
