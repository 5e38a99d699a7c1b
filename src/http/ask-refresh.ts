/** Asks for a refresh on behalf of a caller, and words what came of it. */
import type { Client } from '../access/access.ts'
import type { TextAnswer } from './answer.ts'
import type { House } from './surface.ts'
import { refreshAnswer } from './token-answer.ts'
import { leftFor } from './told-life.ts'

/** `stale` is the token that the caller reports; undefined: it wants a new one whatever there is. Throws as the keeper does. */
export async function askRefresh(
  house: House,
  client: Client | null,
  name: string,
  stale: string | undefined,
): Promise<TextAnswer> {
  const witness = { kind: 'report', client: client?.name ?? null } as const
  const result = await house.keeper.refresh(name, stale === undefined ? {} : { stale, witness })
  return refreshAnswer(result.snapshot, leftFor(house, client, result.leftMs), {
    ...(result.stale ? { stale: true } : {}),
    refreshed: result.refreshed,
    ...(result.reason === undefined ? {} : { reason: result.reason }),
  })
}
