/** PgBouncer before a PostgreSQL of the tests: each transaction may get another of its few connections. */
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { obtainServer } from './obtain-server.ts'
import { freePorts, removeFolder, serverFolder, startProcess, untilReady } from './server-process.ts'

export type PgbouncerServer = { readonly port: number; readonly dispose: () => Promise<void> }

export async function startPgbouncer(postgresPort: number): Promise<PgbouncerServer> {
  const programs = obtainServer('pgbouncer')
  const folder = serverFolder('pgbouncer')
  const [port = 0] = await freePorts(1)
  const file = join(folder, 'pgbouncer.ini')
  writeFileSync(
    file,
    `[databases]
* = host=127.0.0.1 port=${postgresPort} user=zk
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 300
`,
    { mode: 0o644 },
  )
  const server = startProcess({ programs, args: [file], folder, unprivileged: true })
  await untilReady(server, async () => await isOpen(port))
  return {
    port,
    dispose: async () => {
      await server.end('SIGKILL')
      removeFolder(folder)
    },
  }
}

async function isOpen(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
