/** Runs the simulator until a signal. */
import type { Text } from '../base/text.ts'
import { demoAccounts, startSimulator } from '../simulator.ts'
import type { Io } from './command.ts'
import { listenFault } from './listen-address.ts'
import { aborted } from './pause.ts'

export async function runSimulator(options: { port: number; ttlSeconds: number }, io: Io): Promise<number> {
  const { port, ttlSeconds } = options
  const upstream = await startSimulator({ port, knobs: { ttlSeconds } }).catch((thrown: unknown) => {
    throw listenFault(`127.0.0.1:${port}`, thrown)
  })
  const control: Text = {
    en: `tokens live ${ttlSeconds} s; control: ${upstream.url}/_simulator/`,
    zh: `令牌有效期 ${ttlSeconds} 秒；控制接口：${upstream.url}/_simulator/`,
  }
  io.out(`zhongkong simulator ready on ${upstream.url}`)
  io.out(control[io.language])
  for (const account of demoAccounts) {
    const secret = 'secret' in account ? `  ${account.secret}` : ''
    io.out(`  ${account.kind.padEnd(10)}${'id' in account ? String(account.id) : ''}${secret}`)
  }
  await aborted(io.signal)
  await upstream.close()
  return 0
}
