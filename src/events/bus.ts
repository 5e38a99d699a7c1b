/** The door of the events room: one writer, many subscribers. A subscriber that throws harms nobody else. */
import type { ZhongkongEvent } from '../model/event.ts'

export type Listener = (event: ZhongkongEvent) => void

export type Bus = {
  readonly emit: (event: ZhongkongEvent) => void
  /** Subscribes; the answer unsubscribes. Listeners are called in the same tick, so they must be quick. */
  readonly on: (listener: Listener) => () => void
}

/** A bus. `onFault` hears of listeners that throw. */
export function createBus(onFault: (thrown: unknown) => void): Bus {
  const listeners = new Set<Listener>()
  return {
    emit: (event) => {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch (thrown) {
          onFault(thrown)
        }
      }
    },
    on: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
