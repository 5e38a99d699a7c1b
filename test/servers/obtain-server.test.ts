/** The servers that the tests need: run before all others, so that fetching one counts against no test's time. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { copyEmbeddedPostgres, isSkipped, obtainServer } from './obtain-server.ts'

test.each(['redis', 'mariadb', 'postgres', 'pgbouncer'] as const)(
  '%s is there, or can be had',
  (kind) => {
    if (isSkipped(kind)) return
    const { program, environment } = obtainServer(kind, true)
    expect(execFileSync(program, ['--version'], { env: environment, encoding: 'utf8' })).toMatch(/\d+\.\d+/)
  },
  300_000,
)

const hasPackage = ['linux', 'darwin'].includes(process.platform) && ['x64', 'arm64'].includes(process.arch)

test.runIf(hasPackage)('where there is no PostgreSQL, the one of the npm package runs', () => {
  const root = mkdtempSync(join(tmpdir(), 'zhongkong-embedded-'))
  try {
    expect(copyEmbeddedPostgres(root)).toBe(true)
    for (const name of ['postgres', 'initdb']) {
      const answer = execFileSync(join(root, 'usr', 'bin', name), ['--version'], {
        env: { LD_LIBRARY_PATH: join(root, 'usr', 'lib') },
        encoding: 'utf8',
      })
      expect(answer).toContain(`${name} (PostgreSQL) `)
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
