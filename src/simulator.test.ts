/** The simulator in real time, over sockets. */
import { expect, test } from 'vitest'
import { listenPlain } from './http/listen-plain.ts'
import { startSimulator } from './simulator.ts'

const key = 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C'

test('pushes tickets by itself to the address that an account names, and ends with its server', async () => {
  const bodies: string[] = []
  let heard = (): void => undefined
  const first = new Promise<void>((resolve) => (heard = resolve))
  const receiver = await listenPlain(async (request) => {
    bodies.push(await request.text())
    heard()
    return new Response('success')
  }, 0)
  const callback = { url: `${receiver.url}/callback/platform`, token: 't', key }
  const upstream = await startSimulator({
    accounts: [{ kind: 'wechat-component', id: 'wxc', secret: 's', callback }],
  })
  try {
    await first
    expect(bodies[0]).toContain('<AppId><![CDATA[wxc]]></AppId><Encrypt>')
  } finally {
    await upstream.close()
    await receiver.close()
  }
})
