// Tokens in memory, kept true by events. Start the server in one terminal (npm start), then: node examples/client.mjs weixin
import { createClient, ZhongkongClientError } from 'zhongkong/client'

const name = process.argv[2] ?? 'weixin'
const client = createClient({
  url: process.env.ZHONGKONG_URL ?? 'http://127.0.0.1:8888',
  key: process.env.ZHONGKONG_KEY,
})
client.on('listening', () => console.log('listening'))
client.on('polling', ({ why }) => console.log(`polling (${why})`))
const rotated = new Promise((resolve) => client.on('rotated', resolve))

try {
  const first = await client.get(name)
  console.log(`${name}: ${first.token.slice(0, 6)}…, version ${first.version}, good for ${first.expiresIn} s`)
  console.log(`from memory: ${(await client.get(name)) === first}`)

  // The platform refused it (40001, 42001, 401): say which one, use the one in the answer, and repeat your call once.
  const next = await client.refresh(name, { stale: first.token })
  console.log(next.refreshed ? `refreshed, version ${next.version}` : `not refreshed (${next.reason})`)
  if (next.refreshed) console.log(`rotated to version ${(await rotated).version}`)

  await client.get('nobody')
} catch (error) {
  if (!(error instanceof ZhongkongClientError)) throw error
  console.log(`expected: ${error.code}`)
} finally {
  // The stream keeps the program running until it is closed.
  await client.close()
}
