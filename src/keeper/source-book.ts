/**
 * Which sources there are: those of the configuration file, held whole, and those added while running, which live in
 * the store and are parsed when somebody needs them.
 */
import type { JsonObject } from '../base/json.ts'
import type { ParsedDefinition, ParseSource, Siblings } from '../model/definition.ts'
import type { Entry } from '../model/entry.ts'
import type { Source } from '../model/source.ts'

/** Parsed definitions kept from the store; beyond that the oldest is parsed again when it is needed. */
const parsedMax = 20_000

export class SourceBook {
  readonly #parse: ParseSource
  #file: ReadonlyMap<string, Source>
  readonly #parsed = new Map<string, { readonly text: string; readonly source: Source }>()

  constructor(parse: ParseSource, sources: readonly Source[]) {
    this.#parse = parse
    this.#file = new Map(sources.map((source) => [source.name, source]))
  }

  get fileSources(): ReadonlyMap<string, Source> {
    return this.#file
  }

  /** All sources that this node knows: those of the file, and those of the store that it has come across. */
  known(): readonly Source[] {
    const stored = [...this.#parsed.values()].map(({ source }) => source)
    return [...this.#file.values(), ...stored.filter(({ name }) => !this.#file.has(name))]
  }

  replace(sources: readonly Source[]): void {
    this.#file = new Map(sources.map((source) => [source.name, source]))
    // What was parsed may have leant on a definition of the file.
    this.#parsed.clear()
  }

  /** Parses the definition of a source that is not of the file; it may lean on those that this node knows. */
  parse(name: string, definition: JsonObject): ParsedDefinition {
    const siblings: Siblings = (other) => (this.#file.get(other) ?? this.#parsed.get(other)?.source)?.definition
    return this.#parse(name, definition, 'store', siblings)
  }

  /** The source of a name, given its entry; null when nothing defines it (any more). */
  resolve(name: string, entry: Entry | null): Source | null {
    const fromFile = this.#file.get(name)
    if (fromFile !== undefined) return fromFile
    if (entry?.definition == null) return null
    return this.#fromStore(name, entry.definition)
  }

  #fromStore(name: string, definition: JsonObject): Source | null {
    const text = JSON.stringify(definition)
    const known = this.#parsed.get(name)
    if (known?.text === text) return known.source
    const parsed = this.parse(name, definition)
    // A definition was valid when it was put; only an older version of this program can refuse it now.
    if (!parsed.ok) return null
    this.#parsed.delete(name)
    this.#parsed.set(name, { text, source: parsed.source })
    if (this.#parsed.size > parsedMax) {
      for (const oldest of this.#parsed.keys()) {
        this.#parsed.delete(oldest)
        break
      }
    }
    return parsed.source
  }
}
