import { describe, expect, it } from 'vitest'
import { ServerClock } from './server-clock.ts'

describe('the clock of a database server', () => {
  function begin() {
    const own = { at: 0 }
    return { own, clock: new ServerClock({ monotonic: () => own.at }) }
  }

  it('is the one that the database shows, whatever this machine thinks', () => {
    const { own, clock } = begin()
    expect(clock.follow(1_000_000, 0)).toBe(1_000_000)
    own.at += 5
    expect(clock.follow(1_003_000, 0)).toBe(1_003_000)
  })

  it('stands still for answers that overtook each other', () => {
    const { clock } = begin()
    expect(clock.follow(1_000_000, 0)).toBe(1_000_000)
    expect(clock.follow(999_980, 0)).toBe(1_000_000)
    expect(clock.follow(1_000_010, 0)).toBe(1_000_010)
  })

  it('goes on at the pace of the database when that was set back, and returns when it has jumped ahead', () => {
    const { own, clock } = begin()
    clock.follow(9_000_000, 0)
    own.at += 500
    expect(clock.follow(5_000_000, 0)).toBe(9_000_500)
    own.at += 700
    expect(clock.follow(5_000_600, 0)).toBe(9_001_100)
    expect(clock.ahead).toBe(4_000_500)
    expect(clock.follow(9_900_000, 0)).toBe(9_900_000)
    expect(clock.ahead).toBe(0)
  })

  it('agrees with those who were there before the clock was set back', () => {
    const { clock } = begin()
    expect(clock.follow(5_000_000, 9_000_000)).toBe(9_000_000)
    expect(clock.follow(5_000_100, 9_000_000)).toBe(9_000_100)
  })
})
