/**
 * Which sources there are: those of the configuration file, held whole, and those added while running, which live in
 * the store and are parsed when somebody needs them.
 */
import type { JsonObject } from '../base/json.ts'
import type { ParsedDefinition, ParseSource, Siblings } from '../model/definition.ts'
import type { Entry } from '../model/entry.ts'
import { retiredChannel, type Source } from '../model/source.ts'

/** Parsed definitions kept from the store; beyond that the oldest is parsed again when it is needed. */
const parsedMax = 20_000

export class SourceBook {
  readonly #parse: ParseSource
  #file: ReadonlyMap<string, Source>
  readonly #parsed = new Map<string, { readonly text: string; readonly source: Source }>()
  /** Names by the line of tokens in which each issue retires the one before. */
  readonly #channels = new Map<string, Set<string>>()

  constructor(parse: ParseSource, sources: readonly Source[]) {
    this.#parse = parse
    this.#file = new Map(sources.map((source) => [source.name, source]))
    for (const source of sources) this.#enter(source)
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
    this.#channels.clear()
    for (const source of sources) this.#enter(source)
  }

  /** The names that this node knows in a line of tokens; one that was there lately may be among them. */
  inChannel(channel: string): readonly string[] {
    return [...(this.#channels.get(channel) ?? [])]
  }

  /** Parses the definition of a source that is not of the file; it may lean on those that this node knows. */
  parse(name: string, definition: JsonObject): ParsedDefinition {
    const siblings: Siblings = (other) => (this.#file.get(other) ?? this.#parsed.get(other)?.source)?.definition
    return this.#parse(name, definition, 'store', siblings)
  }

  /** Whether a definition may lean on that of this name without anybody having to look it up. */
  knows(name: string): boolean {
    return this.#file.has(name) || this.#parsed.has(name)
  }

  /** A source that this node knows, without a look at the store. */
  find(name: string): Source | undefined {
    return this.#file.get(name) ?? this.#parsed.get(name)?.source
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
    if (known !== undefined) this.#forgetBelow(name)
    this.#forget(name)
    this.#parsed.set(name, { text, source: parsed.source })
    this.#enter(parsed.source)
    if (this.#parsed.size > parsedMax) {
      for (const oldest of this.#parsed.keys()) {
        this.#forget(oldest)
        break
      }
    }
    return parsed.source
  }

  #enter(source: Source): void {
    const channel = retiredChannel(source)
    if (channel === null) return
    const names = this.#channels.get(channel) ?? new Set()
    this.#channels.set(channel, names.add(source.name))
  }

  #forget(name: string): void {
    const source = this.#parsed.get(name)?.source
    const channel = source === undefined ? null : retiredChannel(source)
    this.#parsed.delete(name)
    if (channel === null || this.#file.has(name)) return
    const names = this.#channels.get(channel)
    names?.delete(name)
    if (names?.size === 0) this.#channels.delete(channel)
  }

  /** What leans on a definition is parsed again when that has changed, all the way down. */
  #forgetBelow(name: string): void {
    for (const [below, { source }] of this.#parsed) {
      if (!source.needs.includes(name) || !this.#parsed.has(below)) continue
      this.#forget(below)
      this.#forgetBelow(below)
    }
  }
}
