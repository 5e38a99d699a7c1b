/** The faults that are switched on: for whom, for which calls, how often, and what they do. */
import { z } from 'zod'
import { ZhongkongError } from '../base/errors.ts'
import { effectSchema, suits, type Effect } from './effect.ts'
import { callKinds, type CallKind } from './upstream.ts'

const faultsMax = 10_000

export const faultSchema = z.strictObject({
  /** The account; absent: all, and visits that name none. */
  account: z.string().min(1).max(128).optional(),
  /** Kinds of call; absent: all that the effect makes sense for. */
  kinds: z.array(z.enum(callKinds)).min(1).optional(),
  effect: effectSchema,
  /** It is over after so many calls; absent: it stays until removed. */
  times: z.number().int().min(1).optional(),
  /** How likely it strikes. Default 1. */
  chance: z.number().min(0).max(1).default(1),
})

export type FaultSettings = z.input<typeof faultSchema>
export type Fault = z.output<typeof faultSchema> & { readonly id: string; readonly struck: number }

type Kept = z.output<typeof faultSchema> & { readonly id: string; struck: number }

const none: readonly Effect[] = []

export class FaultBoard {
  /** In order of switching on. By account, and under null those for all. */
  readonly #faults = new Map<string | null, Kept[]>()
  readonly #chance: () => number
  #size = 0
  #last = 0

  constructor(chance: () => number) {
    this.#chance = chance
  }

  /** Answers the id by which it is removed. */
  add(settings: z.output<typeof faultSchema>): string {
    if (this.#size >= faultsMax) {
      throw new ZhongkongError('overloaded', `at most ${faultsMax} faults can be switched on at once`)
    }
    this.#last += 1
    const id = `fault-${this.#last}`
    const key = settings.account ?? null
    const list = this.#faults.get(key) ?? []
    list.push({ ...settings, id, struck: 0 })
    this.#faults.set(key, list)
    this.#size += 1
    return id
  }

  remove(id: string): boolean {
    for (const [key, list] of this.#faults) {
      const left = list.filter((fault) => fault.id !== id)
      if (left.length !== list.length) {
        this.#keep(key, left)
        this.#size -= 1
        return true
      }
    }
    return false
  }

  clear(): void {
    this.#faults.clear()
    this.#size = 0
  }

  list(): readonly Fault[] {
    return [...this.#faults.values()].flat().map((fault) => ({ ...fault }))
  }

  /** The effects that strike this call. Each fault that strikes is used once. */
  take(account: string | null, kind: CallKind): readonly Effect[] {
    if (this.#size === 0) return none
    const struck: Effect[] = []
    if (account !== null) this.#takeFrom(account, kind, struck)
    this.#takeFrom(null, kind, struck)
    return struck
  }

  #takeFrom(key: string | null, kind: CallKind, struck: Effect[]): void {
    const list = this.#faults.get(key)
    if (list === undefined) return
    let isSpent = false
    for (const fault of list) {
      if (!suits(fault.effect, kind) || fault.kinds?.includes(kind) === false) continue
      if (fault.chance < 1 && this.#chance() >= fault.chance) continue
      fault.struck += 1
      struck.push(fault.effect)
      isSpent ||= isOver(fault)
    }
    if (!isSpent) return
    const left = list.filter((fault) => !isOver(fault))
    this.#size -= list.length - left.length
    this.#keep(key, left)
  }

  #keep(key: string | null, list: Kept[]): void {
    if (list.length === 0) this.#faults.delete(key)
    else this.#faults.set(key, list)
  }
}

function isOver(fault: Kept): boolean {
  return fault.times !== undefined && fault.struck >= fault.times
}
