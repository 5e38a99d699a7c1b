/** The real clock and network keep the promises that the rest of the program builds on. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { realClock, realEnv, realProcesses } from './real-env.ts'

describe('the real clock', () => {
  test.each([NaN, Infinity, 30 * 86_400_000, 2 ** 31])('a sleep of %d ms does not end at once', async (ms) => {
    const stop = new AbortController()
    let isOver = false
    const sleeping = realClock.sleep(ms, stop.signal).then(() => (isOver = true))
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(isOver).toBe(false)
    stop.abort()
    await sleeping
  })

  test.each([0, -1, 5])('a sleep of %d ms ends', async (ms) => {
    await expect(realClock.sleep(ms)).resolves.toBeUndefined()
  })

  test('an abort ends a sleep, and is no error; one that came before lets it end at once', async () => {
    const stop = new AbortController()
    const sleeping = realClock.sleep(50_000, stop.signal)
    stop.abort()
    await expect(sleeping).resolves.toBeUndefined()
    await expect(realClock.sleep(50_000, stop.signal)).resolves.toBeUndefined()
  })

  test('monotonic time does not go back', () => {
    const first = realClock.monotonic()
    expect(realClock.monotonic()).toBeGreaterThanOrEqual(first)
  })
})

describe('the real network', () => {
  const env = realEnv()
  let server: Server
  let base: string
  const seen: { method: string; url: string; body: string }[] = []

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    seen.push({ method: request.method ?? '', url: request.url ?? '', body })
    if (request.url === '/hang') return
    if (request.url === '/redirect') response.writeHead(302, { location: '/landed', 'set-cookie': 'a=b' }).end('moved')
    else response.writeHead(200, { 'x-cookie': request.headers.cookie ?? '' }).end(`${request.method ?? ''} ${body}`)
  }

  beforeAll(async () => {
    server = createServer((request, response) => void answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })

  afterAll(async () => {
    await env.close()
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })

  test('a request arrives with its method, headers and body', async () => {
    const response = await env.fetch(new Request(`${base}/post`, { method: 'POST', body: '{"a":1}' }))
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('POST {"a":1}')
  })

  test('no redirect is followed, and no cookie kept', async () => {
    const response = await env.fetch(new Request(`${base}/redirect`))
    expect(response.status).toBe(302)
    expect(response.headers.get('location')).toBe('/landed')
    await response.text()
    expect(seen.some(({ url }) => url === '/landed')).toBe(false)
    const next = await env.fetch(new Request(`${base}/next`))
    expect(next.headers.get('x-cookie')).toBe('')
    await next.text()
  })

  test('an abort ends a request that hangs', async () => {
    const stop = new AbortController()
    const waiting = env.fetch(new Request(`${base}/hang`, { signal: stop.signal }))
    setTimeout(() => stop.abort(new Error('too late')), 20)
    await expect(waiting).rejects.toThrow()
  })

  test('a refused connection says so in its cause', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    await once(closed, 'close')
    const failed = await env.fetch(new Request(`http://127.0.0.1:${port}/`)).catch((thrown: unknown) => thrown)
    expect(failed).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })

  test('a proxy that is named is asked instead of the address itself', async () => {
    const tunnels: string[] = []
    const proxy = createServer()
    proxy.on('connect', (request, socket) => {
      tunnels.push(request.url ?? '')
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const uri = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    await expect(env.fetch(new Request(`${base}/proxied`), { proxy: uri })).rejects.toThrow()
    expect(tunnels).toEqual([base.slice('http://'.length)])
    expect(seen.some(({ url }) => url === '/proxied')).toBe(false)
    proxy.closeAllConnections()
    proxy.close()
  })

  test('chance is within [0, 1), and bytes are as many as asked for', () => {
    for (let count = 0; count < 100; count += 1) {
      const chance = env.random.next()
      expect(chance >= 0 && chance < 1).toBe(true)
    }
    expect(env.random.bytes(12)).toHaveLength(12)
  })
})

describe.runIf(process.platform === 'linux')('the processes of this machine', () => {
  const processes = realProcesses()!

  test('have names by which it is known that they have ended', async () => {
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20_000)'], { stdio: 'ignore' })
    const stat = readFileSync(`/proc/${child.pid!}/stat`, 'latin1')
    const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
    const name = `${processes.self.split('.')[0]!}.${child.pid!}.${start}`
    expect(processes.isGone(name)).toBe(false)
    child.kill('SIGSTOP')
    expect(processes.isGone(name)).toBe(false)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    expect(processes.isGone(name)).toBe(true)
  })

  test('are not taken for gone when they are this one, of another machine, or not named at all', () => {
    const [place, pid, start] = processes.self.split('.')
    expect(processes.isGone(processes.self)).toBe(false)
    expect(processes.isGone(`0123456789ab.${pid!}.1`)).toBe(false)
    expect(processes.isGone('n1')).toBe(false)
    expect(processes.isGone(`${place!}.../../x.1`)).toBe(false)
    // The PID lives on under another process.
    expect(processes.isGone(`${place!}.${pid!}.${Number(start) - 1}`)).toBe(true)
  })
})
