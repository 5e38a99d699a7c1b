// The keeper inside your own program, without a server. Run it: node examples/embedded.mjs
// The upstream here is the bundled simulator, so no account is needed. With a real one, leave out `base_url`.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openKeeper, ZhongkongError } from 'zhongkong'
import { startSimulator } from 'zhongkong/simulator'

const upstream = await startSimulator({
  accounts: [{ kind: 'wecom', id: 'ww1', corpid: 'ww1', secret: 'the-secret-of-the-app' }],
})
const folder = await mkdtemp(join(tmpdir(), 'zhongkong-example-'))

const keeper = await openKeeper({
  // The file is made with its tables, and encrypted; its key goes into a file beside it that only you can read.
  store: `sqlite:${join(folder, 'tokens.db')}`,
  sources: {
    corp: {
      provider: 'wecom',
      corpid: 'ww1',
      secret: 'the-secret-of-the-app',
      base_url: upstream.url,
      // A younger token is not replaced for a report: 30 s if you leave this out, and here nobody wants to wait.
      min_interval: '0s',
    },
    corp_jsticket: { provider: 'wecom-ticket', of: 'corp', type: 'jsapi' },
  },
})
keeper.on('rotated', ({ name, version }) => console.log(`${name}: version ${version}`))

try {
  const { token, expiresIn, version } = await keeper.get('corp')
  console.log(`corp: ${token.slice(0, 6)}…, version ${version}, good for ${expiresIn} s`)

  const ticket = await keeper.get('corp_jsticket')
  console.log(`corp_jsticket: good for ${ticket.expiresIn} s`)

  // The upstream refused this token: say which one, and any number of callers cost one call.
  upstream.simulator.revoke({ token })
  const next = await keeper.refresh('corp', { stale: token })
  console.log(`corp: ${next.token.slice(0, 6)}…, version ${next.version}, in the place of the one that was refused`)

  // Somebody who reports it later gets the same one, and nothing is asked for.
  const later = await keeper.refresh('corp', { stale: token })
  console.log(`corp: ${later.refreshed ? 'asked for again' : 'replaced already, so it was not asked for again'}`)

  await keeper.get('nobody')
} catch (error) {
  if (!(error instanceof ZhongkongError)) throw error
  console.log(`expected: ${error.code}`)
} finally {
  await keeper.close()
  await upstream.close()
  await rm(folder, { recursive: true })
}
