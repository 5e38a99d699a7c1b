/** An Io without a process, for tests of commands: what was printed is kept. */
import type { Io } from '../../src/cli/command.ts'

export type FakeIo = Io & {
  readonly outLines: string[]
  readonly errLines: string[]
  readonly stop: () => void
}

export function fakeIo(changes: Partial<Io> = {}): FakeIo {
  const stopping = new AbortController()
  const outLines: string[] = []
  const errLines: string[] = []
  return {
    out: (line) => outLines.push(...line.split('\n')),
    err: (line) => errLines.push(...line.split('\n')),
    environment: {},
    directory: '/',
    language: 'en',
    isTerminal: false,
    columns: 80,
    signal: stopping.signal,
    onHangup: () => () => undefined,
    outLines,
    errLines,
    stop: () => stopping.abort(),
    ...changes,
  }
}
