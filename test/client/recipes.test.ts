/** The recipes in other languages, as they lie in the repository, against a whole node; each where its language is installed. */
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test as plainTest } from 'vitest'
import { repository } from '../repository.ts'
import { key, openLive, type Live } from './live.ts'

const test = plainTest.extend<{ live: Live }>({
  live: async ({}, use) => {
    const live = await openLive()
    await use(live)
    await live.close()
  },
})

const recipes = [
  { language: 'Python', command: ['python3', 'zhongkong.py'], probe: ['--version'] },
  { language: 'Java', command: ['java', 'Zhongkong.java'], probe: ['-version'] },
  { language: 'PHP', command: ['php', 'zhongkong.php'], probe: ['--version'] },
  { language: 'Go', command: ['go', 'run', 'zhongkong.go'], probe: ['version'] },
] as const

for (const { language, command, probe } of recipes) {
  const [program, ...args] = command
  const isThere = spawnSync(program, probe, { timeout: 10_000 }).status === 0
  const title = `the recipe in ${language} reads, keeps, reports, and says what is wrong`
  // A language that is not installed shows as skipped, with its name.
  test.skipIf(!isThere)(
    title,
    async ({ live }) => {
      const { url, node } = await live.open()
      // It is dead, and nobody here knows before it is reported.
      const { snapshot } = await node.keeper.get('weixin')
      live.upstream.simulator.revoke({ token: snapshot.token })
      await new Promise((resolve) => setTimeout(resolve, 1_100))
      const run = async (...more: string[]) =>
        await promisify(execFile)(program, [...args, ...more], {
          cwd: join(repository, 'examples', 'recipes'),
          env: {
            ...process.env,
            ZHONGKONG_URL: url,
            ZHONGKONG_KEY: key,
            PYTHONIOENCODING: 'utf-8',
            JAVA_TOOL_OPTIONS: '',
          },
          timeout: 60_000,
        })
      const { stdout } = await run('weixin')
      const [read, report, nobody] = stdout.trim().split('\n')
      expect(read).toMatch(/^weixin: .{6}\S+, from memory: true$/i)
      expect(report).toMatch(/^after a report: .{6}/)
      expect(nobody).toBe('nobody: not found')
      expect(live.upstream.simulator.counters('wx-weixin').token.issued).toBe(2)
      // Whatever it says of a key that is wrong, it does not say the key.
      const failed = (await run('corp_that_is_not_there').catch((error: unknown) => error)) as {
        stdout: string
        stderr: string
      }
      expect(`${failed.stdout} ${failed.stderr}`).not.toContain(key)
    },
    120_000,
  )
}
