import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { watchFiles, type WatchOptions } from './watch-files.ts'

let folder: string
let path: string
let stops: (() => void)[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zhongkong-watch-'))
  path = join(folder, 'zhongkong.yaml')
  stops = []
  writeFileSync(path, 'one')
})

afterEach(() => {
  for (const stop of stops) stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Watches; `next` resolves at the next change, `count` is how many there were. */
async function watching(
  changes: Partial<WatchOptions> = {},
): Promise<{ next: () => Promise<void>; count: () => number }> {
  let count = 0
  let heard: () => void = () => undefined
  const onChange = (): void => {
    count += 1
    heard()
  }
  const watch = await watchFiles({ paths: [path], onChange, settleMs: 20, ...changes })
  stops.push(() => watch.stop())
  return {
    count: () => count,
    next: () =>
      new Promise((resolve) => {
        heard = resolve
      }),
  }
}

/** The file system's own time is real; what must not happen can only be waited for. */
const longerThanSettling = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100))

describe('a change is noticed', () => {
  it('when the file is written in place', async () => {
    const { next } = await watching()
    const heard = next()
    writeFileSync(path, 'two')
    await heard
  })

  it('when another file is renamed over it, twice', async () => {
    const { next } = await watching()
    for (const content of ['two', 'three']) {
      const heard = next()
      writeFileSync(`${path}.new`, content)
      renameSync(`${path}.new`, path)
      await heard
    }
  })

  it('when a symbolic link on the way is swapped, as Kubernetes does', async () => {
    for (const name of ['a', 'b']) {
      mkdirSync(join(folder, name))
      writeFileSync(join(folder, name, 'zhongkong.yaml'), name)
    }
    rmSync(path)
    symlinkSync('a', join(folder, '..data'))
    symlinkSync(join('..data', 'zhongkong.yaml'), path)
    const { next } = await watching()
    const heard = next()
    symlinkSync('b', join(folder, '..new'))
    renameSync(join(folder, '..new'), join(folder, '..data'))
    await heard
  })

  it('when the file goes, and when it comes back', async () => {
    const { next } = await watching()
    const gone = next()
    rmSync(path)
    await gone
    const back = next()
    writeFileSync(path, 'one')
    await back
  })

  it('by the slow look, where the file system tells nothing', async () => {
    rmSync(path)
    // The folder is not there yet, so nothing can be watched.
    const far = join(folder, 'later', 'zhongkong.yaml')
    const { next } = await watching({ paths: [far], pollMs: 150 })
    const heard = next()
    await longerThanSettling()
    mkdirSync(join(folder, 'later'))
    writeFileSync(far, 'two')
    await heard
  })
})

describe('no change is told', () => {
  it('for other files of the folder, and for the same content written again', async () => {
    const { count } = await watching()
    writeFileSync(join(folder, 'other'), 'x')
    await longerThanSettling()
    writeFileSync(path, 'one')
    await longerThanSettling()
    expect(count()).toBe(0)
  })

  it('after it was stopped', async () => {
    const { count } = await watching()
    for (const stop of stops) stop()
    const other = await watching()
    const heard = other.next()
    writeFileSync(path, 'two')
    await heard
    expect(count()).toBe(0)
  })

  it('by a look that was under way when it was stopped', async () => {
    // Reading a pipe goes on until somebody has written to it, so the look ends when this test wants it to.
    const slow = join(folder, 'pipe')
    const { count } = await watching({ paths: [path, slow] })
    execFileSync('mkfifo', [slow])
    writeFileSync(path, 'two')
    const pipe = await open(slow, 'w')
    for (const stop of stops) stop()
    await pipe.writeFile('x')
    await pipe.close()
    await longerThanSettling()
    expect(count()).toBe(0)
  })
})
