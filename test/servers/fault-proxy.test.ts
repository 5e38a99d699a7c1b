import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startFaultProxy, type FaultProxy } from './fault-proxy.ts'

let echo: Server
let proxy: FaultProxy

beforeEach(async () => {
  echo = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
  const address = echo.address()
  proxy = await startFaultProxy(typeof address === 'object' && address !== null ? address.port : 0)
})

afterEach(async () => {
  await proxy.close()
  await new Promise((resolve) => echo.close(resolve))
})

type Caller = { readonly socket: Socket; readonly heard: () => string; readonly closed: Promise<void> }

function call(): Caller {
  const socket = connect(proxy.port, '127.0.0.1')
  let heard = ''
  socket.on('error', () => undefined)
  socket.on('data', (data) => (heard += data.toString()))
  return { socket, heard: () => heard, closed: new Promise((resolve) => socket.once('close', () => resolve())) }
}

const heardAll = async (caller: Caller, text: string): Promise<void> => {
  while (caller.heard() !== text) await new Promise((resolve) => setTimeout(resolve, 5))
}

it('passes what both sides say', async () => {
  const caller = call()
  caller.socket.write('a')
  await heardAll(caller, 'a')
  caller.socket.destroy()
})

it('resets connections, and takes new ones', async () => {
  const caller = call()
  caller.socket.write('a')
  await heardAll(caller, 'a')
  proxy.reset()
  await caller.closed
  const again = call()
  again.socket.write('b')
  await heardAll(again, 'b')
  again.socket.destroy()
})

it('refuses until it is healed', async () => {
  proxy.refuse()
  await call().closed
  proxy.heal()
  const caller = call()
  caller.socket.write('a')
  await heardAll(caller, 'a')
  caller.socket.destroy()
})

it('delivers late what was sent in a silence, on old connections and new ones', async () => {
  const [old, made] = [call(), call()]
  old.socket.write('a')
  await heardAll(old, 'a')
  proxy.silence()
  old.socket.write('b')
  const late = call()
  late.socket.write('c')
  await new Promise((resolve) => setTimeout(resolve, 150))
  expect([old.heard(), late.heard()]).toEqual(['a', ''])
  proxy.heal()
  await heardAll(old, 'ab')
  await heardAll(late, 'c')
  for (const { socket } of [old, made, late]) socket.destroy()
})
