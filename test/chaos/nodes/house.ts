/**
 * The nodes of a run: real processes over one store, each started, frozen, killed and started again. One of them has
 * workers: what strikes the node strikes all of its processes, and a single worker may be struck too.
 */
import { ask } from '../../end-to-end/ask.ts'
import { isAlive, workersOf } from '../../end-to-end/connections.ts'
import type { Served, Stage } from '../../end-to-end/stage.ts'
import type { Recorder } from './recorder.ts'

/** A process that answers. */
export type Live = { readonly node: number; readonly process: number; readonly url: string }

export type House = {
  /** The process of a node; null while there is none, or it is frozen. */
  readonly live: (node: number) => Live | null
  /** The processes of each node. */
  readonly pids: () => readonly (readonly number[])[]
  readonly start: (node: number) => Promise<void>
  readonly kill: (node: number) => Promise<void>
  readonly freeze: (node: number) => void
  readonly wake: (node: number) => void
  /** Kills or stops one worker of a node, and answers its process id; null when there is none to strike. */
  readonly strikeWorker: (node: number, signal: 'SIGKILL' | 'SIGSTOP') => number | null
  /** Whether a worker that was stopped is still there. The first look that misses it goes to the history. */
  readonly hasWorker: (node: number, pid: number) => boolean
  readonly wakeWorker: (node: number, pid: number) => void
  /** SIGKILL for everything that is left. */
  readonly dispose: () => Promise<void>
  /** SIGTERM for all; how long the slowest took, in milliseconds. */
  readonly stop: () => Promise<number>
  /** What the processes of a node wrote to stderr, for the report of a violation. */
  readonly logs: (node: number) => string
}

export type HouseOptions = {
  readonly stage: Stage
  readonly recorder: Recorder
  readonly nodes: number
  /** The path of a node's configuration. */
  readonly configFor: (node: number) => string
  readonly urlFor: (node: number) => string
}

type Room = { served: Served | null; process: number; isFrozen: boolean; isReady: boolean; log: string }

/** A node that does not get ready because the store is away is started again after this, in milliseconds. */
const againMs = 1_000
const startMsMax = 90_000

export function openHouse({ stage, recorder, nodes, configFor, urlFor }: HouseOptions): House {
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
      const where = { store: urlFor(node), readyMsMax: startMsMax / 2, isListeningAsWritten: true }
      return await stage.serve(configFor(node), where)
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
    pids: () => rooms.map(({ served }) => processesOf(served)),
    start,
    kill: async (node) => {
      const served = leave(roomOf(node))
      // Written down before it is done: whatever comes after may be cut off.
      tell(node, 'killed')
      await killAll(served)
    },
    freeze: (node) => {
      const room = roomOf(node)
      if (room.served === null) return
      room.isFrozen = true
      tell(node, 'stopped')
      signalAll(room.served, 'SIGSTOP')
    },
    wake: (node) => {
      const room = roomOf(node)
      if (room.served === null || !room.isFrozen) return
      signalAll(room.served, 'SIGCONT')
      tell(node, 'woken')
      room.isFrozen = false
    },
    strikeWorker: (node, signal) => {
      const { served, isFrozen, isReady } = roomOf(node)
      const [pid] = served === null ? [] : workersOf(served)
      if (pid === undefined || isFrozen || !isReady) return null
      recorder.add({ type: 'worker', node, pid, what: signal === 'SIGKILL' ? 'killed' : 'stopped' })
      process.kill(pid, signal)
      return pid
    },
    hasWorker: (node, pid) => {
      const { served } = roomOf(node)
      // Also one whose end nobody has taken note of yet is listed.
      if (served !== null && workersOf(served).includes(pid) && isAlive(pid)) return true
      recorder.add({ type: 'worker', node, pid, what: 'ended' })
      return false
    },
    wakeWorker: (node, pid) => {
      const { served, isFrozen } = roomOf(node)
      if (served === null || !workersOf(served).includes(pid)) return
      // The whole node may have been frozen since, and will be woken as one.
      if (!isFrozen) process.kill(pid, 'SIGCONT')
      recorder.add({ type: 'worker', node, pid, what: 'woken' })
    },
    dispose: async () => {
      await Promise.all(rooms.map(async (room) => await killAll(leave(room))))
    },
    stop: async () => {
      const ends = rooms.map(async (room) => {
        const served = leave(room)
        if (served === null) return 0
        signalAll(served, 'SIGCONT')
        return (await served.stop('SIGTERM')).tookMs
      })
      return Math.max(0, ...(await Promise.all(ends)))
    },
    logs: (node) => roomOf(node).log + (roomOf(node).served?.stdout() ?? '') + (roomOf(node).served?.stderr() ?? ''),
  }
}

/** The supervisor, where there is one, and its workers. */
function processesOf(served: Served | null): readonly number[] {
  return served === null ? [] : [served.pid, ...workersOf(served)]
}

function signalAll(served: Served | null, signal: NodeJS.Signals): void {
  for (const pid of processesOf(served)) if (isAlive(pid)) process.kill(pid, signal)
}

/** As when the machine dies. Its output ends with the last process, and one that is stopped does not end by itself. */
async function killAll(served: Served | null): Promise<void> {
  if (served === null) return
  signalAll(served, 'SIGKILL')
  await served.stop('SIGKILL')
}
