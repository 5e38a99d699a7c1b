/**
 * Stands between one client and a server, and does to their connections what networks do: resets them, refuses new ones,
 * or falls silent and delivers late what was sent meanwhile.
 */
import { connect, createServer, type Socket } from 'node:net'

export type FaultProxy = {
  readonly port: number
  /** Resets every connection; new ones are taken. */
  readonly reset: () => void
  /** Resets every connection, and each new one as soon as it is made, until `heal`. */
  readonly refuse: () => void
  /** Nothing passes any more, though no connection breaks. What is sent waits, and arrives after `heal`. */
  readonly silence: () => void
  readonly heal: () => void
  readonly close: () => Promise<void>
}

type Mode = 'passing' | 'refusing' | 'silent'

type Pair = { readonly client: Socket; readonly target: Socket }

export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  let mode: Mode = 'passing'
  const pairs = new Set<Pair>()
  const server = createServer((client) => {
    if (mode === 'refusing') {
      client.on('error', () => undefined)
      client.resetAndDestroy()
      return
    }
    const target = connect(targetPort, '127.0.0.1')
    const pair = { client, target }
    pairs.add(pair)
    join(client, target)
    join(target, client)
    for (const socket of [client, target]) socket.once('close', () => pairs.delete(pair))
    if (mode === 'silent') hold(pair)
  })
  const reset = (): void => {
    for (const { client, target } of pairs) {
      client.resetAndDestroy()
      target.destroy()
    }
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    reset,
    refuse: () => {
      mode = 'refusing'
      reset()
    },
    silence: () => {
      mode = 'silent'
      pairs.forEach(hold)
    },
    heal: () => {
      mode = 'passing'
      for (const { client, target } of pairs) {
        client.resume()
        target.resume()
      }
    },
    close: async () => {
      reset()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

function join(from: Socket, to: Socket): void {
  from.setNoDelay(true)
  from.on('error', () => undefined)
  from.on('data', (data) => {
    if (to.writable) to.write(data)
  })
  // Ended rather than destroyed: what was sent before is still delivered.
  from.on('close', () => {
    if (!to.destroyed) to.end()
  })
}

/** Also the end of a connection is not heard of, as it stands behind what is not read. */
function hold({ client, target }: Pair): void {
  client.pause()
  target.pause()
}
