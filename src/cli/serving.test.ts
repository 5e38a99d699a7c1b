/** A server's life inside this process, over real sockets and files: what the log says, and what goes on meanwhile. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeIo, type FakeIo } from '../../test/cli/fake-io.ts'
import { selfSigned, type SelfSigned } from '../../test/http/self-signed.ts'
import type { Language } from '../base/text.ts'
import { readConfig } from './config-file.ts'
import { serve } from './serving.ts'

type Running = {
  readonly io: FakeIo
  readonly port: number
  /** Resolves with the next line of the log that was not seen yet and whose message matches. */
  readonly logged: (message: RegExp) => Promise<Record<string, unknown>>
  readonly lines: () => Record<string, unknown>[]
  readonly hangUp: () => void
}

let folder: string
let path: string
let ends: (() => Promise<unknown>)[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zhongkong-serving-'))
  path = join(folder, 'zhongkong.yaml')
  ends = []
})
afterEach(async () => {
  await Promise.all(ends.map((end) => end()))
  rmSync(folder, { recursive: true, force: true })
})

const write = (text: string): void => writeFileSync(path, `store: memory\n${text}`)
const keyHash = (letter: string): string => `sha256:${letter.repeat(64)}`
const listenAnywhere = 'server: { listen: "127.0.0.1:0" }\n'
const withTls = 'server: { listen: "127.0.0.1:0", tls: { cert: tls.crt, key: tls.key } }\n'

/** A change of zhongkong.yaml is noticed by the server itself; a hangup as well would make two reloads of it. */
async function serving(language: Language = 'en'): Promise<Running> {
  const place = { path, overrides: {} }
  let hangUp = (): void => undefined
  let hear = (): void => undefined
  const base = fakeIo({ language })
  const io: FakeIo = {
    ...base,
    out: (line) => {
      base.out(line)
      hear()
    },
    err: (line) => {
      base.err(line)
      hear()
    },
    onHangup: (handler) => {
      hangUp = handler
      return () => undefined
    },
  }
  const until = async <T>(find: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      await new Promise<void>((resolve) => (hear = resolve))
    }
  }
  const { config, issues } = await readConfig(place, io)
  if (config === null) throw new Error(JSON.stringify(issues))
  const served = serve({ config, place, io, warnings: issues })
  served.catch(() => undefined)
  ends.push(() => {
    io.stop()
    return served
  })
  const ready = await Promise.race([until(() => /:(\d+)$/.exec(io.outLines[0] ?? '') ?? undefined), served])
  let seen = 0
  const lines = (): Record<string, unknown>[] => io.errLines.map((line) => JSON.parse(line) as Record<string, unknown>)
  return {
    io,
    port: typeof ready === 'number' ? 0 : Number(ready[1]),
    lines,
    hangUp: () => hangUp(),
    logged: (message) =>
      until(() => {
        const at = lines().findIndex(({ msg }, index) => index >= seen && message.test(String(msg)))
        if (at !== -1) seen = at + 1
        return lines()[at]
      }),
  }
}

describe('the log of a server', () => {
  it('says at the start that programs on this machine need no key, in the language of the terminal', async () => {
    write(listenAnywhere)
    const { lines } = await serving()
    expect(lines()).toContainEqual(expect.objectContaining({ level: 'warn', msg: expect.stringMatching(/proxy/) }))
    const chinese = await serving('zh')
    expect(chinese.lines()).toContainEqual(expect.objectContaining({ msg: expect.stringMatching(/代理/) }))
    write(`${listenAnywhere}clients: { ops: { key: "${keyHash('a')}", admin: true } }\n`)
    expect((await serving()).lines()).toEqual([])
  })

  it('tells clients that came from those that went, and never a key', async () => {
    const client = (name: string, letter: string): string => `  ${name}: { key: "${keyHash(letter)}", admin: true }\n`
    write(`${listenAnywhere}clients:\n${client('shop', 'a')}${client('old', 'b')}`)
    const { logged, io } = await serving()
    write(`${listenAnywhere}clients:\n${client('shop', 'c')}${client('crm', 'd')}`)
    expect(await logged(/the configuration was reloaded/)).toMatchObject({
      clients: { added: ['crm'], removed: ['old'], changed: ['shop'] },
    })
    expect(io.errLines.join('')).not.toMatch(/([a-d])\1{9}/)
  })

  it('takes one line for one fault, such as a file that is gone, and goes on', async () => {
    write(listenAnywhere)
    const { logged, lines, port } = await serving()
    rmSync(path)
    const line = await logged(/not reloaded/)
    expect(line).toMatchObject({ level: 'error', problem: expect.stringMatching(/does not exist/), at: `${path}:1:1` })
    expect(lines().filter(({ level }) => level === 'error')).toEqual([line])
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
  })

  it('takes a line for each of several faults, and one that says what follows', async () => {
    write(listenAnywhere)
    const { logged, lines } = await serving()
    write('server: { lisen: x }\nsink: []\n')
    expect(await logged(/not reloaded/)).toMatchObject({ errors: 2 })
    const faults = lines().filter(({ level }) => level === 'error')
    expect(faults.map(({ key }) => key)).toEqual(['server.lisen', 'sink', undefined])
    expect(faults[0]).toMatchObject({ at: `${path}:2:11`, fix: 'Did you mean "listen"?' })
  })
})

describe('a renewed certificate', () => {
  const put = ({ cert, key }: Pick<SelfSigned, 'cert' | 'key'>): void => {
    writeFileSync(join(folder, 'tls.crt'), cert)
    writeFileSync(join(folder, 'tls.key'), key, { mode: 0o600 })
  }
  const shown = async (port: number): Promise<string> =>
    await new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256)
        socket.destroy()
      }).on('error', reject)
    })

  it('is used from the reload on; broken ones are told, each time, and change nothing', async () => {
    const [first, second] = [selfSigned(), selfSigned()]
    put(first)
    write(withTls)
    const { hangUp, logged, port } = await serving()
    expect(await shown(port)).toBe(first.fingerprint)

    put({ cert: second.cert, key: first.key })
    hangUp()
    const mismatch = await logged(/not reloaded/)
    expect(mismatch).toMatchObject({ level: 'error', problem: expect.stringMatching(/key values mismatch/) })
    expect(mismatch.fix).toMatch(/PEM/)
    expect(await shown(port)).toBe(first.fingerprint)

    put({ cert: 'half a certifica', key: second.key })
    hangUp()
    expect(await logged(/not reloaded/)).toMatchObject({ key: 'server.tls.cert' })
    expect(await shown(port)).toBe(first.fingerprint)

    put(second)
    hangUp()
    await logged(/was reloaded/)
    expect(await shown(port)).toBe(second.fingerprint)
  })

  it('that is broken holds back the rest of the reload as well', async () => {
    const [first, second] = [selfSigned(), selfSigned()]
    put(first)
    write(withTls)
    const { hangUp, logged } = await serving()
    put({ cert: second.cert, key: first.key })
    write(`${withTls}compat: { tokenboy: true }\n`)
    await logged(/not reloaded/)
    put(second)
    hangUp()
    expect(await logged(/was reloaded/)).toMatchObject({ compat: true })
  })
})
