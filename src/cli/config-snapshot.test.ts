/** A configuration read once from the disk is the same wherever it is read again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fakeIo } from '../../test/cli/fake-io.ts'
import { readConfig } from './config-file.ts'
import { recordingFiles, replayedFiles } from './config-snapshot.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zhongkong-snapshot-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('secret files and .env are kept with it, and what was not there stays away', async () => {
  const place = { path: join(folder, 'zhongkong.yaml'), overrides: {} }
  const source = 'weixin: { provider: wechat, appid: wx1, secret: "file:secret.txt" }'
  writeFileSync(place.path, `store: memory\nserver: { listen: "\${AT}" }\nsources: { ${source} }\n`)
  writeFileSync(join(folder, 'secret.txt'), 'hunter2-hunter2\n', { mode: 0o600 })
  writeFileSync(join(folder, '.env'), 'AT=127.0.0.1:1\n', { mode: 0o600 })
  const { files, readFile } = recordingFiles()
  const first = await readConfig(place, fakeIo(), readFile)
  expect(first.config).not.toBeNull()
  for (const name of ['zhongkong.yaml', 'secret.txt', '.env']) writeFileSync(join(folder, name), 'changed meanwhile')

  // As it arrives in another process.
  const again = await readConfig(place, fakeIo(), replayedFiles(structuredClone(files)))
  expect(again).toEqual(first)
  expect(again.config?.sources[0]?.definition.secret).toBe('hunter2-hunter2')
  expect(again.config?.server.listen).toBe('127.0.0.1:1')
  expect((await readFile(place.path, Infinity)).bytes).toEqual((await replayedFiles(files)(place.path, 1)).bytes)
  await expect(replayedFiles(files)(join(folder, 'other'), 1)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a file that cannot be read is told with the same words', async () => {
  const place = { path: join(folder, 'gone.yaml'), overrides: {} }
  const { files, readFile } = recordingFiles()
  const first = await readConfig(place, fakeIo(), readFile)
  expect(first.issues).toMatchObject([{ code: 'file_unreadable' }])
  writeFileSync(place.path, 'store: memory\n')
  expect(await readConfig(place, fakeIo(), replayedFiles(files))).toEqual(first)
})
