/** The nodes of a run: real processes on one configuration, each started, frozen, killed and started again. */
import { ask } from '../../end-to-end/ask.ts'
import type { Served, Stage } from '../../end-to-end/stage.ts'
import type { Recorder } from './recorder.ts'

/** A process that answers. */
export type Live = { readonly node: number; readonly process: number; readonly url: string }

export type House = {
  /** The process of a node; null while there is none, or it is frozen. */
  readonly live: (node: number) => Live | null
  readonly pids: () => readonly (number | null)[]
  readonly start: (node: number) => Promise<void>
  readonly kill: (node: number) => Promise<void>
  readonly freeze: (node: number) => void
  readonly wake: (node: number) => void
  /** SIGTERM for all; how long the slowest took, in milliseconds. */
  readonly stop: () => Promise<number>
  /** What the processes of a node wrote to stderr, for the report of a violation. */
  readonly logs: (node: number) => string
}

export type HouseOptions = {
  readonly stage: Stage
  readonly recorder: Recorder
  readonly nodes: number
  readonly config: string
  readonly urlFor: (node: number) => string
}

type Room = { served: Served | null; process: number; isFrozen: boolean; isReady: boolean; log: string }

/** A node that does not get ready because the store is away is started again after this, in milliseconds. */
const againMs = 1_000
const startMsMax = 90_000

export function openHouse({ stage, recorder, nodes, config, urlFor }: HouseOptions): House {
  const rooms = Array.from({ length: nodes }, (): Room => {
    return { served: null, process: 0, isFrozen: false, isReady: false, log: '' }
  })
  const roomOf = (node: number): Room => rooms[node]!

  const tell = (node: number, what: 'started' | 'ready' | 'killed' | 'stopped' | 'woken' | 'ended'): void =>
    recorder.add({ type: 'node', node, process: roomOf(node).process, what })

  /** Null when the process gave up by itself. */
  const tryToStart = async (node: number): Promise<Served | null> => {
    const room = roomOf(node)
    room.process += 1
    tell(node, 'started')
    try {
      return await stage.serve(config, { store: urlFor(node) })
    } catch (thrown) {
      tell(node, 'ended')
      room.log += String(thrown)
      return null
    }
  }

  const untilReady = async (served: Served, endsAt: number): Promise<void> => {
    while (recorder.now() < endsAt && !recorder.isClosed) {
      const status = await ask(`${served.url}/readyz`).then(
        (answer) => answer.status,
        () => 0,
      )
      if (status === 200) return
      await recorder.pause(50)
    }
  }

  const start = async (node: number): Promise<void> => {
    const room = roomOf(node)
    const endsAt = recorder.now() + startMsMax
    while (recorder.now() < endsAt && !recorder.isClosed) {
      const served = await tryToStart(node)
      if (served === null) {
        await recorder.pause(againMs)
        continue
      }
      room.served = served
      room.isFrozen = false
      await untilReady(served, endsAt)
      room.isReady = true
      tell(node, 'ready')
      return
    }
    if (!recorder.isClosed) throw new Error(`node ${node} did not get ready:\n${room.log}`)
  }

  const leave = (room: Room): Served | null => {
    const { served } = room
    room.log += served?.stdout() ?? ''
    room.log += served?.stderr() ?? ''
    room.served = null
    room.isReady = false
    return served
  }

  return {
    live: (node) => {
      const { served, process, isFrozen, isReady } = roomOf(node)
      return served === null || isFrozen || !isReady ? null : { node, process, url: served.url }
    },
    pids: () => rooms.map(({ served }) => served?.pid ?? null),
    start,
    kill: async (node) => {
      const served = leave(roomOf(node))
      // Written down before it is done: whatever comes after may be cut off.
      tell(node, 'killed')
      await served?.stop('SIGKILL')
    },
    freeze: (node) => {
      const room = roomOf(node)
      if (room.served === null) return
      room.isFrozen = true
      tell(node, 'stopped')
      process.kill(room.served.pid, 'SIGSTOP')
    },
    wake: (node) => {
      const room = roomOf(node)
      if (room.served === null || !room.isFrozen) return
      process.kill(room.served.pid, 'SIGCONT')
      tell(node, 'woken')
      room.isFrozen = false
    },
    stop: async () => {
      const ends = rooms.map(async (room) => {
        const served = leave(room)
        if (served === null) return 0
        if (room.isFrozen) process.kill(served.pid, 'SIGCONT')
        return (await served.stop('SIGTERM')).tookMs
      })
      return Math.max(0, ...(await Promise.all(ends)))
    },
    logs: (node) => roomOf(node).log + (roomOf(node).served?.stdout() ?? '') + (roomOf(node).served?.stderr() ?? ''),
  }
}
