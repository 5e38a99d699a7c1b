/**
 * Stands between a store and its server. It cuts a connection when a certain text passes: once, in either way. And it may
 * lead new connections to another server, as an address does that is in front of several.
 */
import { connect, createServer, type Socket } from 'node:net'

export type CuttingProxy = {
  readonly port: number
  /**
   * The next message to the server with this text in it is the last of its connection: `before` it reaches the server,
   * or `after` it, so that only the answer is lost.
   */
  readonly cutAt: (text: string, when: 'before' | 'after') => void
  /** How often it has cut. */
  readonly cuts: () => number
  /** Leads new connections to another port. */
  readonly lead: (targetPort: number) => void
  /** How many connections were made to it. */
  readonly connections: () => number
  readonly close: () => Promise<void>
}

export async function startCuttingProxy(firstPort: number): Promise<CuttingProxy> {
  let targetPort = firstPort
  let connections = 0
  let plan: { readonly text: string; readonly when: 'before' | 'after' } | null = null
  let cuts = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    connections += 1
    const target = connect(targetPort, '127.0.0.1')
    for (const socket of [client, target]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        if (!target.destroyed) target.end()
      })
    }
    target.on('data', (data) => {
      if (!client.destroyed) client.write(data)
    })
    client.on('data', (data) => {
      if (plan === null || !data.includes(plan.text)) {
        target.write(data)
        return
      }
      const { when } = plan
      plan = null
      cuts += 1
      if (when === 'after') target.write(data)
      client.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cutAt: (text, when) => (plan = { text, when }),
    cuts: () => cuts,
    lead: (to) => (targetPort = to),
    connections: () => connections,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
