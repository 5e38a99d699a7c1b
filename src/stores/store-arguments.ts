/**
 * What a call to a store may carry, checked the same way by every store. A refusal here is a fault of our own code,
 * never of the data: it is thrown before anything is touched.
 */
import { ZhongkongError } from '../base/errors.ts'
import type { Change } from './store.ts'

/** Visible ASCII of a length that every later store can index (MySQL: 190). All orders of it are the same everywhere. */
const namePattern = /^[\x21-\x7e]{1,190}$/
const limitMax = 1_000

export function checkName(name: string): string {
  if (!namePattern.test(name)) throw refusal('a name must be 1 to 190 visible ASCII characters')
  return name
}

export function checkRevision(revision: number): number {
  if (!Number.isSafeInteger(revision) || revision < 0) throw refusal('a revision must be a whole number from 0')
  return revision
}

/** The change with its `dueAt` as a whole number: never (Infinity) becomes the last instant that can be written. */
export function checkChange(change: Change): Change {
  return { body: change.body, dueAt: checkInstant(change.dueAt) }
}

export function checkInstant(instant: number): number {
  if (Number.isNaN(instant)) throw refusal('an instant must be a number')
  return Math.floor(Math.min(Math.max(instant, -Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER))
}

export function checkLimit(limit: number): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > limitMax) throw refusal('a limit must be 1 to 1000')
  return limit
}

/** A place in a scan by (dueAt, name). */
export type DuePlace = { readonly dueAt: number; readonly name: string }

export function formatDuePlace(place: DuePlace): string {
  return `${place.dueAt}/${place.name}`
}

export function parseDuePlace(text: string): DuePlace {
  const match = /^(-?\d{1,16})\/(.*)$/.exec(text)
  if (match === null) throw refusal('a scan must go on with the `next` of the page before')
  return { dueAt: Number(match[1]), name: match[2] ?? '' }
}

function refusal(detail: string): ZhongkongError {
  return new ZhongkongError('internal', `store call refused: ${detail}`)
}
