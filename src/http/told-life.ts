/** What callers are told of a token's life: what is left, or what their client's `expiry` makes of it. */
import type { Client } from '../access/access.ts'
import type { Reading } from '../keeper/keeper.ts'
import { plainExpiry, toldMs, type ToldExpiry } from '../model/told-expiry.ts'
import type { House } from './surface.ts'
import { secondsOf, type Left } from './token-answer.ts'

/** Who is no client has proved itself otherwise, or needs no proof: `compat.expiry` is for all of them. */
function expiryOf({ settings }: House, client: Client | null): ToldExpiry | null {
  return client === null ? (settings().compat.expiry ?? null) : client.expiry
}

/** For programs that read tokens here: what is left, in milliseconds, unless something else is configured. */
export function toldLeftMs(house: House, client: Client | null, leftMs: number): number {
  const expiry = expiryOf(house, client)
  return expiry === null ? leftMs : toldMs(leftMs, expiry)
}

/** What a caller is told of what is left, as of now. */
export function leftFor(house: House, client: Client | null, leftMs: number): Left {
  return { leftMs, toldMs: toldLeftMs(house, client, leftMs), now: house.env.clock.now() }
}

/** A reading as its caller has it: a cap makes the life shorter, and asking again after it is not early. */
export function asTold(house: House, client: Client | null, reading: Reading): Reading {
  return { ...reading, leftMs: Math.min(reading.leftMs, toldLeftMs(house, client, reading.leftMs)) }
}

/** For client libraries, on their own wire formats: whole seconds, never none. */
export function toldSeconds(house: House, client: Client | null, leftMs: number): number {
  return secondsOf(toldMs(leftMs, expiryOf(house, client) ?? plainExpiry))
}
