/** How records lie in Redis: names of keys, the shard of a name, rows and places as texts. */
import type { NamedRecord, StoredRecord } from './store.ts'

/**
 * One shard on a single master, so that the change feed has one order there. A Cluster gets 16, to spread over masters.
 * The number is written into the store when it is made and holds for its life, wherever the keys are moved to.
 */
export const shardsOf = { single: 1, sentinel: 1, cluster: 16 } as const

/** The number of the layout this program writes. Programs that know only older ones refuse the store. */
export const layoutNumber = 1

export class RedisLayout {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** The keys of a shard, as the scripts want them. What stands in braces decides about the slot. */
  shardKeys(shard: number): readonly string[] {
    return ['shard', 'entries', 'due', 'names', 'log'].map((name) => `${this.#tag(shard)}:${name}`)
  }

  slot(shard: number): number {
    return crc16(`${this.#prefix}:${shard}`) % 16_384
  }

  /** Both lie with the first shard. */
  get metaKey(): string {
    return `${this.#tag(0)}:meta`
  }

  get clockKey(): string {
    return `${this.#tag(0)}:clock`
  }

  get channel(): string {
    return `${this.#prefix}:changed`
  }

  #tag(shard: number): string {
    return `{${this.#prefix}:${shard}}`
  }
}

export function shardOf(name: string, shards: number): number {
  return shards === 1 ? 0 : crc16(name) % shards
}

/** CRC-16/XMODEM, by which Redis Cluster finds the slot of a key. */
export function crc16(text: string): number {
  let crc = 0
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? crc << 1 : ((crc << 1) ^ 0x1021) & 0xffff
  }
  return crc & 0xffff
}

/** An instant as 17 digits that sort as it does. */
export function placeOf(dueAt: number): string {
  return (BigInt(dueAt) + offset).toString().padStart(17, '0')
}

function instantOf(place: string): number {
  return Number(BigInt(place) - offset)
}

const offset = 2n ** 53n

const rowPattern = /^(\d+) \d+ \d+ (\d{17}) ([+-])/

/** The record of a row; what is no row of ours is no record. */
export function recordOf(row: string): (StoredRecord & { readonly dueAt: number }) | null {
  const match = rowPattern.exec(row)
  if (match === null) return null
  const [head, revision, place = '', sign] = match
  return { revision: Number(revision), dueAt: instantOf(place), body: sign === '+' ? row.slice(head.length) : null }
}

export function livingOf(name: string, row: string): NamedRecord | null {
  const record = recordOf(row)
  if (record?.body == null) return null
  return { name, body: record.body, revision: record.revision, dueAt: record.dueAt }
}
