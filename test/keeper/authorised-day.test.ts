/** `npm run bench -- authorised` does the same with a hundred thousand accounts. */
import { expect, test } from 'vitest'
import { runAuthorisedDay } from './authorised-day.ts'

test('accounts that authorise a platform become sources by themselves, and none lapses in a day', async () => {
  const accounts = 300
  const day = await runAuthorisedDay({ accounts, hours: 24 })
  expect(day).toMatchObject({ made: accounts, lapses: 0, firstLapse: null, faults: [] })
  // Tokens live two hours and are replaced when two thirds of that are over: the first one, and eighteen more.
  expect(day.issuesMax).toBe(19)
  expect(day.issues).toBeGreaterThanOrEqual(18 * accounts)
  // The platform's own list brings nothing that is not known.
  expect(day.recovered).toEqual({ made: 0, mended: 0, kept: accounts })
}, 60_000)
