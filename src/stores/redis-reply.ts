/** Answers of Redis, taken apart. An answer of another shape is no answer of our scripts, and throws. */

/** An answer in the old protocol: texts, numbers, nothing, and lists of them. */
export type Reply = string | number | null | readonly Reply[]

export function isList(reply: Reply | undefined): reply is readonly Reply[] {
  return Array.isArray(reply)
}

export function listOf(reply: Reply | undefined): readonly Reply[] {
  if (isList(reply)) return reply
  throw new TypeError('Redis answered something else than a list')
}

export function textOf(reply: Reply | undefined): string {
  if (typeof reply === 'string') return reply
  throw new TypeError('Redis answered something else than a text')
}

export function numberOf(reply: Reply | undefined): number {
  const number = typeof reply === 'string' && reply !== '' ? Number(reply) : reply
  if (typeof number === 'number' && Number.isFinite(number)) return number
  throw new TypeError('Redis answered something else than a number')
}
