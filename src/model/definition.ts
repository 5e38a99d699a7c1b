/** How a source's written definition becomes a source, or what is wrong with it. */
import type { JsonObject } from '../base/json.ts'
import type { Text } from '../base/text.ts'
import type { Source } from './source.ts'

/** A problem inside a source's definition, as the provider catalogue finds it; `path` is relative to the definition. */
export type DefinitionIssue = {
  readonly path: readonly (string | number)[]
  readonly message: Text
  readonly fix: Text | null
  /** Where inside the text value at `path`, in characters from 0, when it is only a part of it that is wrong. */
  readonly index?: number
}

export type ParsedDefinition =
  { readonly ok: true; readonly source: Source } | { readonly ok: false; readonly issues: readonly DefinitionIssue[] }

/** The definition of another source, by name; undefined when there is none. */
export type Siblings = (name: string) => JsonObject | undefined

/**
 * How a definition becomes a source; the provider catalogue has it (config does not know providers). A definition may
 * leave things to the source that it names (a ticket asks the host that its token comes from), so the answer also
 * depends on `siblings`: parse a source again when one that it needs has changed.
 */
export type ParseSource = (
  name: string,
  definition: JsonObject,
  origin: Source['origin'],
  siblings?: Siblings,
) => ParsedDefinition
