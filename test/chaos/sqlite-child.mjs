// One process of the tests in sqlite-processes.test.ts: `node sqlite-child.mjs count|write PATH …`. Uses the built sources.
import { realEnv } from '../../dist/src/base/real-env.js'
import { openSqliteStore } from '../../dist/src/stores/sqlite.js'

const [task, path, ...args] = process.argv.slice(2)
const env = realEnv()
const store = await openSqliteStore({ path, env })
process.stdout.write('ready\n')

/** Raises one shared number `times` times by compare-and-swap. */
async function count(times) {
  for (let done = 0; done < times;) {
    const { body, revision } = await store.read('count')
    if ((await store.write('count', { body: String(Number(body ?? 0) + 1), dueAt: 0 }, revision)) !== null) done += 1
  }
}

/** Writes names of its own for ever, several at a time, and says each revision once it was acknowledged. */
async function writeForEver(prefix) {
  await Promise.all(
    Array.from({ length: 8 }, async (_, index) => {
      const name = `${prefix}-${index}`
      for (let { revision } = await store.read(name); ;) {
        revision = await store.write(name, { body: `${revision + 1}:`.padEnd(1024, 'x'), dueAt: 0 }, revision)
        process.stdout.write(`${name} ${revision}\n`)
      }
    }),
  )
}

if (task === 'count') await count(Number(args[0]))
if (task === 'write') await writeForEver(args[0])
await store.close()
await env.close()
process.stdout.write('done\n')
