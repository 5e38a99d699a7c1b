/** What a source takes from the definitions of the sources that it names. */
import type { JsonObject } from '../base/json.ts'
import { nearest } from '../base/suggest.ts'
import type { DefinitionIssue, Siblings } from '../model/definition.ts'
import type { Provider } from './provider.ts'
import { readDefinition } from './read-definition.ts'

export type Kin = {
  /** The provider of a definition, if it names one. */
  readonly providerOf: (definition: JsonObject) => Provider | undefined
  readonly siblings: Siblings
}

type Completed = { readonly complete: JsonObject; readonly issues: readonly DefinitionIssue[] }

/** The definition with what it leaves to its parent, who may leave it to his own, and what is wrong with that parent. */
export function inherit(provider: Provider, definition: JsonObject, kin: Kin, seen = new Set<string>()): Completed {
  const { parent } = provider
  const name = parent === undefined ? undefined : definition[parent.key]
  if (parent === undefined || typeof name !== 'string') return { complete: definition, issues: [] }
  // Circles are refused elsewhere, but only after this.
  const above = seen.has(name) ? undefined : kin.siblings(name)
  const providerAbove = above === undefined ? undefined : kin.providerOf(above)
  if (above === undefined || providerAbove === undefined) return { complete: definition, issues: [] }
  seen.add(name)
  const { kind } = providerAbove
  if (!parent.kinds.includes(kind)) {
    const message = {
      en: `"${name}" is a source of kind ${kind}; ${provider.kind} needs one of kind ${parent.kinds.join(' or ')}.`,
      zh: `"${name}" 是 ${kind} 类型的来源；${provider.kind} 需要 ${parent.kinds.join(' 或 ')} 类型。`,
    }
    return { complete: definition, issues: [{ path: [parent.key], message, fix: null }] }
  }
  const completeAbove = inherit(providerAbove, above, kin, seen).complete
  const inherited = Object.entries(completeAbove).filter(([key]) => parent.inherits.includes(key))
  return { complete: { ...Object.fromEntries(inherited), ...definition }, issues: [] }
}

/** References to fields that an answer is known not to have. */
export function unknownFields(
  provider: Provider,
  settings: unknown,
  { providerOf, siblings }: Kin,
): readonly DefinitionIssue[] {
  return (provider.references?.(settings) ?? []).flatMap(({ path, source, field, index }) => {
    const definition = siblings(source)
    const fields = definition === undefined ? undefined : providerOf(definition)?.fields
    if (field === null || fields === undefined || fields.includes(field)) return []
    const near = nearest(field, fields)
    const message = {
      en: `The answer of "${source}" has no field "${field}"; it has ${fields.join(', ')}.`,
      zh: `"${source}" 的应答中没有字段 "${field}"，只有 ${fields.join('、')}。`,
    }
    const fix = near === null ? null : { en: `Did you mean "${near}"?`, zh: `是否想写 "${near}"？` }
    return [{ path, index, message, fix }]
  })
}

/**
 * The identity of a source: that of its own settings, and those of the sources that it needs. A ticket of another
 * account is another ticket, although its own definition has not changed.
 */
export function identityOf(provider: Provider, settings: unknown, kin: Kin, seen = new Set<string>()): string {
  const needed = provider.needs(settings).map((name) => {
    // Each needed source is told once: circles are refused elsewhere, but only after this.
    const definition = seen.has(name) ? undefined : kin.siblings(name)
    const above = definition === undefined ? undefined : kin.providerOf(definition)
    if (definition === undefined || above === undefined) return name
    seen.add(name)
    const read = readDefinition(above, inherit(above, definition, kin).complete)
    return read.ok ? identityOf(above, read.settings, kin, seen) : name
  })
  const own = provider.identity(settings)
  return needed.length === 0 ? own : `${own}(${needed.join(',')})`
}
