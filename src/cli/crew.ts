/**
 * The workers of a server and their life, told once:
 *
 *   fork ─► hello ─► start ─► ready ─► ended ─► a pause ─► fork
 *
 * The first worker starts alone: it makes the tables and the key where there are none, and it is the one to say that the
 * address is taken. Before all of them are ready, and later when nobody else serves, a worker that ends without having been
 * ready ends the server with its exit code; it has told why. Otherwise another one takes its place, after a pause that
 * grows while they end soon, and that is short where nobody serves. One that is there and does nothing any more is killed, and then is as any that ended.
 */
import cluster, { type Worker } from 'node:cluster'
import { backoffMs } from '../base/backoff.ts'
import { realClock } from '../base/real-env.ts'
import type { Log, LogFields } from '../events/log.ts'
import { countersOf, mergeMetrics } from '../events/merge-metrics.ts'
import type { ConfigFiles } from './config-snapshot.ts'
import { pause } from './pause.ts'
import { PulseWatch, workerPulse, type Pulse } from './pulse.ts'
import type { FromWorker, ToWorker, WorkerStart } from './worker-messages.ts'

export type CrewOptions = {
  readonly size: number
  readonly start: Omit<WorkerStart, 'worker'>
  readonly log: Log
  /** When a worker that keeps silent is given up; after half a minute by default. */
  readonly pulse?: Pulse
}

type Member = {
  readonly number: number
  readonly worker: Worker
  readonly startedAt: number
  /** It has loaded its program and can be asked whether it lives. */
  hasBegun: boolean
  isReady: boolean
  /** Its metrics as they were told last. */
  metrics: string
  /** Told when it tells them again. */
  readonly counting: Set<() => void>
}

/** A worker ends within nine seconds; what is left after this time, in milliseconds, hangs. All is over within ten. */
const stopMsMax = 9_500
/** How long the kernel may take to end a worker that was killed, in milliseconds. */
const killMsMax = 150
const restart = { baseMs: 250, capMs: 10_000 }
/** The longest pause while nobody serves, in milliseconds. */
const desertedMsMax = 1_000
/** A worker that lived this long, in milliseconds, did not end because of how it began. */
const steadyMs = 60_000
/** A worker that does not tell its metrics within this time, in milliseconds, counts with those that it told before. */
const countMsMax = 1_000

export class Crew {
  /** Resolves with the server's exit code when nobody is left who could serve. */
  readonly failed: Promise<number>
  readonly #fail: (exitCode: number) => void
  readonly #options: CrewOptions
  #latest: ConfigFiles
  readonly #members = new Map<number, Member>()
  /** How often the worker of a number ended soon, in a row. */
  readonly #failures = new Map<number, number>()
  /** What those counted who are gone. */
  #retired = ''
  #isOpen = false
  readonly #stopping = new AbortController()
  /** Told when nobody serves any more; then another one. */
  #deserted = new AbortController()
  #onGone = (): void => undefined
  readonly #pulses: PulseWatch<Member>

  constructor(options: CrewOptions) {
    this.#options = options
    this.#pulses = new PulseWatch(options.pulse ?? workerPulse)
    this.#latest = options.start.latest
    let fail: (exitCode: number) => void = () => undefined
    this.failed = new Promise((resolve) => (fail = resolve))
    this.#fail = fail
  }

  /** Resolves with the URL when every worker answers. */
  async open(): Promise<string> {
    cluster.setupPrimary({ args: ['worker'], serialization: 'advanced' })
    void this.#pulses.run(
      {
        // One that has not begun yet is loading its program, which may take long on a busy machine; its end is heard of.
        members: () => [...this.#members.values()].filter(({ hasBegun }) => hasBegun),
        ask: (member) => send(member, { kind: 'ping' }),
        onSilent: (member, silentMs) => this.#giveUp(member, silentMs),
      },
      realClock,
      this.#stopping.signal,
    )
    const url = await this.#launch(1)
    const others = Array.from({ length: this.#options.size - 1 }, (_, index) => this.#launch(index + 2))
    await Promise.all(others)
    this.#isOpen = true
    return url
  }

  reload(files: ConfigFiles): void {
    this.#latest = files
    for (const member of this.#members.values()) send(member, { kind: 'reload', files })
  }

  /** Ends all workers; those that hang are killed. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const member of this.#members.values()) send(member, { kind: 'stop' })
    const over = new AbortController()
    const gone = new Promise<void>((resolve) => (this.#onGone = resolve))
    if (this.#members.size > 0) await Promise.race([gone, pause(stopMsMax, over.signal)])
    for (const { worker, number } of this.#members.values()) {
      this.#options.log.warn('a worker did not end in time and was killed', { worker: number })
      worker.process.kill('SIGKILL')
    }
    if (this.#members.size > 0) await Promise.race([gone, pause(killMsMax, over.signal)])
    over.abort()
  }

  /** Resolves with its URL when the worker is ready. */
  #launch(number: number): Promise<string> {
    const worker = cluster.fork()
    const startedAt = realClock.monotonic()
    const member: Member = {
      number,
      worker,
      startedAt,
      hasBegun: false,
      isReady: false,
      metrics: '',
      counting: new Set(),
    }
    this.#members.set(number, member)
    worker.once('exit', (code, signal) => this.#onEnd(member, code, signal))
    worker.on('error', (error) => {
      // A process that could not even be made has no end to hear of.
      if (worker.process.pid === undefined) this.#onEnd(member, null, error.message)
    })
    return new Promise((resolve) => {
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'ready') resolve(message.url)
        this.#hear(member, message)
      })
    })
  }

  /** Its end is heard of like any other; what it held is taken over when its leases end. */
  #giveUp({ worker, number }: Member, silentMs: number): void {
    this.#options.log.warn('a worker did not answer and was killed', { worker: number, silentMs })
    // Nothing weaker reaches a process that is stopped or never comes to its event loop.
    worker.process.kill('SIGKILL')
  }

  #hear(member: Member, message: FromWorker): void {
    this.#pulses.heard(member)
    switch (message.kind) {
      case 'pong':
        return
      case 'hello':
        member.hasBegun = true
        if (this.#stopping.signal.aborted) {
          send(member, { kind: 'stop' })
          return
        }
        send(member, {
          kind: 'start',
          start: { ...this.#options.start, worker: member.number, latest: this.#latest },
        })
        return
      case 'ready':
        member.isReady = true
        if (this.#isOpen) this.#options.log.info('a worker took the place', { worker: member.number })
        return
      case 'notice':
        for (const other of this.#members.values()) if (other !== member) send(other, message)
        return
      case 'count':
        member.metrics = message.text
        for (const told of member.counting) told()
        member.counting.clear()
        return
      case 'metrics':
        void this.#addMetrics(member, message)
    }
  }

  async #addMetrics(asker: Member, { id, text }: { readonly id: number; readonly text: string }): Promise<void> {
    asker.metrics = text
    const others = [...this.#members.values()].filter((other) => other !== asker && other.isReady)
    const over = new AbortController()
    await Promise.race([Promise.all(others.map(counted)), pause(countMsMax, over.signal)])
    over.abort()
    // Who ended meanwhile is among the retired by now.
    const rest = [...this.#members.values()].filter((other) => other !== asker).map(({ metrics }) => metrics)
    send(asker, { kind: 'metrics', id, text: mergeMetrics([text, ...rest, this.#retired]) })
  }

  #onEnd(member: Member, code: number | null, signal: string | null): void {
    const { number, isReady, startedAt } = member
    if (this.#members.get(number) !== member) return
    this.#members.delete(number)
    this.#retired = mergeMetrics([this.#retired, countersOf(member.metrics)])
    if (this.#members.size === 0) this.#onGone()
    if (this.#stopping.signal.aborted) return
    const how = { worker: number, ...(signal === null ? { code } : { signal }) }
    const isServed = [...this.#members.values()].some((other) => other.isReady)
    // A port that the system chose is lost with the last who listened there.
    const isLost = !isServed && (!isReady || this.#options.start.address.endsWith(':0'))
    if (!this.#isOpen || isLost) {
      // A worker that ends with a code has told why itself.
      if (!code) this.#options.log.error('a worker ended, and the server cannot go on', how)
      this.#fail(code === null || code === 0 ? 1 : code)
      return
    }
    if (isReady && realClock.monotonic() - startedAt >= steadyMs) this.#failures.delete(number)
    if (!isServed) {
      this.#deserted.abort()
      this.#deserted = new AbortController()
    }
    void this.#replace(number, how, isServed ? restart.capMs : desertedMsMax)
  }

  async #replace(number: number, how: LogFields, capMs: number): Promise<void> {
    const failures = (this.#failures.get(number) ?? 0) + 1
    this.#failures.set(number, failures)
    const inMs = backoffMs(failures, { ...restart, capMs }, Math.random())
    this.#options.log.warn('a worker ended; another takes its place', { ...how, inMs })
    const stopping = this.#stopping.signal
    // Whoever waits while others serve does not wait as long when they are gone, too.
    const isOver = await pause(inMs, AbortSignal.any([stopping, this.#deserted.signal]))
    if (!isOver) await pause(Math.min(inMs, desertedMsMax), stopping)
    if (stopping.aborted) return
    try {
      void this.#launch(number)
    } catch (error) {
      // No memory for another process, which the others must outlive.
      await this.#replace(number, { worker: number, error }, capMs)
    }
  }
}

function counted(member: Member): Promise<void> {
  send(member, { kind: 'count' })
  return new Promise((resolve) => member.counting.add(resolve))
}

/** A worker that ends meanwhile hears nothing, which is as well. */
function send({ worker }: Member, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => undefined)
}
