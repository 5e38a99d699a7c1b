import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../test/keeper/virtual-clock.ts'
import type { Env } from '../../base/env.ts'
import { compileGlobs } from '../../model/glob.ts'
import type { FileSinkConfig } from '../../model/sink.ts'
import { createBus, type Bus } from '../bus.ts'
import type { ZhongkongEvent } from '../../model/event.ts'
import { Delivery } from './delivery.ts'
import { openSink } from './file.ts'
import type { SinkToken } from './sink.ts'

let folder: string
let world: World

type Opened = {
  readonly touch: Delivery['touch']
  /** Resolves when nothing waits; time goes on meanwhile. */
  readonly settled: () => Promise<void>
  readonly close: () => Promise<void>
}

type World = {
  readonly bus: Bus
  readonly clock: VirtualClock
  readonly tokens: Map<string, SinkToken>
  readonly told: ZhongkongEvent[]
  readonly open: (target: Partial<FileSinkConfig>) => Opened
  readonly closes: (() => Promise<void>)[]
}

function createWorld(): World {
  const clock = new VirtualClock()
  const bus = createBus((thrown) => {
    throw thrown
  })
  let serial = 0
  const env: Env = {
    clock,
    random: { next: () => 0.5, bytes: (length) => new Uint8Array(length).fill((serial += 1)) },
    fetch: () => Promise.reject(new Error('no network here')),
  }
  const made: World = { bus, clock, tokens: new Map(), told: [], closes: [], open }
  function open(target: Partial<FileSinkConfig>): Opened {
    const config: FileSinkConfig = {
      kind: 'file',
      sources: ['*'],
      path: join(folder, '{name}.json'),
      format: 'json',
      mode: 0o600,
      ...target,
    }
    const tools = { env, describe: () => Promise.resolve(undefined), openRedis: () => expect.fail() }
    const delivery = new Delivery({
      name: 'file-1',
      kind: 'file',
      sink: openSink(config, tools),
      matches: compileGlobs(config.sources),
      read: (name) => Promise.resolve(made.tokens.get(name) ?? null),
      env,
      emit: (event) => made.told.push(event),
    })
    bus.on((event) => {
      if (event.type === 'rotated') delivery.touch(event.name, 'current')
      if (event.type === 'removed') delivery.touch(event.name, 'absent')
    })
    const close = async (): Promise<void> => {
      let isClosed = false
      const closing = delivery.close().finally(() => (isClosed = true))
      while (!isClosed) await realMoment()
      await closing
    }
    made.closes.push(close)
    return { touch: (name, wanted) => delivery.touch(name, wanted), settled: () => settle(delivery), close }
  }
  return made
}

/** Real files take real time; between them virtual time goes on. */
async function settle(delivery: Delivery): Promise<void> {
  let isSettled = false
  const settled = delivery.settled().then(() => (isSettled = true))
  for (let turn = 0; !isSettled; turn += 1) {
    if (turn > 3_000) throw new Error('it does not settle')
    await realMoment()
    if (turn % 10 === 9) await world.clock.time.runUntil(world.clock.time.now() + 100)
  }
  await settled
}

function realMoment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1))
}

const dropped = (): ZhongkongEvent[] => world.told.filter(({ type }) => type === 'sink-dropped')
const failing = (): ZhongkongEvent[] => world.told.filter(({ type }) => type === 'sink-failing')

const issuedAt = Date.UTC(2026, 0, 5, 8)

const token = (version: number, at = issuedAt): SinkToken => ({
  token: `token-${version}`,
  version,
  issuedAt: at,
  expiresAt: issuedAt + 7_200_500,
  fields: { access_token: `token-${version}`, expires_in: 7200 },
})

function rotated(name: string, value: SinkToken): void {
  world.tokens.set(name, value)
  world.bus.emit({ type: 'rotated', name, at: 0, version: value.version, expiresAt: value.expiresAt, reason: 'due' })
}

const inFile = (name: string): string => readFileSync(join(folder, name), 'utf8')

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zhongkong-sink-'))
  world = createWorld()
})

afterEach(async () => {
  for (const close of world.closes) await close()
  rmSync(folder, { recursive: true, force: true })
})

describe('what is written', () => {
  it('gives a rotation as JSON, with seconds and the whole answer of the upstream', async () => {
    const sink = world.open({})
    rotated('weixin', token(3))
    await sink.settled()
    expect(JSON.parse(inFile('weixin.json'))).toEqual({
      name: 'weixin',
      token: 'token-3',
      expires_in: 7200,
      expires_at: issuedAt / 1_000 + 7_200,
      issued_at: issuedAt / 1_000,
      version: 3,
      fields: { access_token: 'token-3', expires_in: 7200 },
    })
  })

  it('gives the token alone in the plain format, without a line end', async () => {
    const sink = world.open({ format: 'plain', path: join(folder, '{name}') })
    rotated('weixin', token(3))
    await sink.settled()
    expect(inFile('weixin')).toBe('token-3')
  })

  it('writes only sources that its globs name', async () => {
    const sink = world.open({ sources: ['weixin_*'] })
    rotated('weixin_a', token(1))
    rotated('corp', token(1))
    await sink.settled()
    expect(readdirSync(folder)).toEqual(['weixin_a.json'])
  })

  it('brings files up to date at start, without waiting for a rotation', async () => {
    world.tokens.set('weixin', token(7))
    const sink = world.open({})
    sink.touch('weixin', 'current')
    sink.touch('without_token', 'current')
    await sink.settled()
    expect(readdirSync(folder)).toEqual(['weixin.json'])
  })

  it('writes the newest value only, when several rotations come at once', async () => {
    const sink = world.open({ format: 'plain' })
    for (let version = 1; version <= 50; version += 1) rotated('weixin', token(version))
    await sink.settled()
    expect(inFile('weixin.json')).toBe('token-50')
  })

  it('takes the file away with the source, and writes it again when the source comes back', async () => {
    const sink = world.open({})
    rotated('weixin', token(1))
    await sink.settled()
    world.bus.emit({ type: 'removed', name: 'weixin', at: 0 })
    await sink.settled()
    expect(readdirSync(folder)).toEqual([])
    rotated('weixin', token(2))
    await sink.settled()
    expect(readdirSync(folder)).toEqual(['weixin.json'])
  })
})

describe('who may read it', () => {
  it('is readable by its owner alone, and so are the folders made for it', async () => {
    const sink = world.open({ path: join(folder, 'deep', 'er', '{name}.json') })
    rotated('weixin', token(1))
    await sink.settled()
    expect(statSync(join(folder, 'deep', 'er', 'weixin.json')).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'deep')).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'deep', 'er')).mode & 0o777).toBe(0o700)
  })

  it('has the mode that was asked for, whatever the umask', async () => {
    const before = process.umask(0o077)
    try {
      const sink = world.open({ mode: 0o640 })
      rotated('weixin', token(1))
      await sink.settled()
      expect(statSync(join(folder, 'weixin.json')).mode & 0o777).toBe(0o640)
    } finally {
      process.umask(before)
    }
  })

  it('gets the mode back when somebody opened the file to others', async () => {
    const sink = world.open({})
    rotated('weixin', token(1))
    await sink.settled()
    chmodSync(join(folder, 'weixin.json'), 0o644)
    rotated('weixin', token(2))
    await sink.settled()
    expect(statSync(join(folder, 'weixin.json')).mode & 0o777).toBe(0o600)
  })

  it('replaces a symbolic link in its place, and leaves what the link points to alone', async () => {
    writeFileSync(join(folder, 'victim'), 'precious')
    symlinkSync(join(folder, 'victim'), join(folder, 'weixin.json'))
    const sink = world.open({})
    rotated('weixin', token(1))
    await sink.settled()
    expect(inFile('victim')).toBe('precious')
    expect(lstatSync(join(folder, 'weixin.json')).isSymbolicLink()).toBe(false)
  })

  it('replaces a link that leads to the very same content, and a pipe, which it does not read', async () => {
    const sink = world.open({ format: 'plain' })
    writeFileSync(join(folder, 'same'), 'token-1', { mode: 0o600 })
    symlinkSync(join(folder, 'same'), join(folder, 'weixin.json'))
    execFileSync('mkfifo', ['-m', '600', join(folder, 'corp.json')])
    rotated('weixin', token(1))
    rotated('corp', token(1))
    await sink.settled()
    for (const name of ['weixin.json', 'corp.json']) expect(lstatSync(join(folder, name)).isFile()).toBe(true)
    expect(inFile('corp.json')).toBe('token-1')
  })

  it.each(['a/b', 'a/b/c.d'])('keeps source %s inside its folder', async (name) => {
    mkdirSync(join(folder, 'in'))
    const sink = world.open({ path: join(folder, 'in', '{name}') })
    rotated(name, token(1))
    await sink.settled()
    expect(readdirSync(folder)).toEqual(['in'])
    expect(readdirSync(join(folder, 'in'))).toEqual([name.replaceAll('/', '__')])
  })

  it.each(['../up', 'a/../../up', 'a/..', '.hidden', 'a\\..\\up', 'a\u0000b', '', '$&'])(
    'refuses the name %j, and says so',
    async (name) => {
      const sink = world.open({ path: join(folder, 'in', '{name}') })
      rotated(name, token(1))
      await sink.settled()
      expect(readdirSync(folder)).toEqual([])
      expect(dropped()).toMatchObject([{ source: name, reason: 'refused' }])
    },
  )

  it('never tells a token when it fails', async () => {
    writeFileSync(join(folder, 'in'), '')
    const sink = world.open({ path: join(folder, 'in', '{name}') })
    rotated('weixin', token(1))
    while (failing().length === 0) await realMoment()
    await sink.close()
    expect(JSON.stringify(world.told)).not.toContain('token-1')
  })
})

describe('never an older version over a newer one', () => {
  it('keeps what another node wrote, when this node is behind', async () => {
    writeFileSync(
      join(folder, 'weixin.json'),
      JSON.stringify({ version: 9, issued_at: issuedAt / 1_000, token: 'token-9' }),
    )
    const sink = world.open({})
    rotated('weixin', token(8, issuedAt - 1_000_000))
    await sink.settled()
    expect(JSON.parse(inFile('weixin.json'))).toMatchObject({ version: 9 })
  })

  it('keeps a newer version when a late answer brings an older one, also in a plain file', async () => {
    const sink = world.open({ format: 'plain' })
    rotated('weixin', token(2, issuedAt + 900))
    await sink.settled()
    rotated('weixin', token(1, issuedAt + 100))
    await sink.settled()
    expect(inFile('weixin.json')).toBe('token-2')
  })

  it('writes over a file of a store that was made anew, where versions begin again', async () => {
    writeFileSync(join(folder, 'weixin.json'), JSON.stringify({ version: 57, issued_at: 900_000, token: 'old' }))
    const sink = world.open({})
    rotated('weixin', token(1))
    await sink.settled()
    expect(JSON.parse(inFile('weixin.json'))).toMatchObject({ version: 1 })
  })

  it('writes over a file that is damaged or not ours', async () => {
    writeFileSync(join(folder, 'weixin.json'), '{"version": 99, "iss')
    const sink = world.open({})
    rotated('weixin', token(1))
    await sink.settled()
    expect(JSON.parse(inFile('weixin.json'))).toMatchObject({ version: 1 })
  })

  it('refuses a second source for the same file', async () => {
    const sink = world.open({ format: 'plain' })
    rotated('a/b', token(1))
    rotated('a__b', token(2))
    await sink.settled()
    expect(inFile('a__b.json')).toBe('token-1')
    expect(dropped()).toMatchObject([{ source: 'a__b', reason: 'refused' }])
  })
})

describe('when a write fails', () => {
  it('tries again until it works, tells it once, and writes the newest value then', async () => {
    writeFileSync(join(folder, 'in'), 'a file where a folder should be')
    const sink = world.open({ path: join(folder, 'in', '{name}'), format: 'plain' })
    rotated('weixin', token(1))
    world.clock.time.after(1_000, () => world.tokens.set('weixin', token(2)))
    world.clock.time.after(5_000, () => rmSync(join(folder, 'in')))
    await sink.settled()
    expect(inFile('in/weixin')).toBe('token-2')
    expect(world.told.map(({ type }) => type)).toEqual(['sink-failing', 'sink-recovered'])
    expect(world.clock.time.now() - issuedAt).toBeLessThan(10_000)
  })

  it('goes on with the other sources meanwhile', async () => {
    mkdirSync(join(folder, 'stuck.json'))
    const sink = world.open({})
    rotated('stuck', token(1))
    rotated('weixin', token(1))
    world.clock.time.after(500, () => {
      expect(readdirSync(folder)).toContain('weixin.json')
      rmSync(join(folder, 'stuck.json'), { recursive: true, force: true })
    })
    await sink.settled()
    expect(readdirSync(folder)).toEqual(['stuck.json', 'weixin.json'])
  })

  it('leaves no draft behind, and clears away those of a process that died', async () => {
    writeFileSync(join(folder, '.weixin.json.00ff.tmp'), 'half a tok')
    utimesSync(join(folder, '.weixin.json.00ff.tmp'), 900_000, 900_000)
    writeFileSync(join(folder, '.weixin.json.11ff.tmp'), 'of a living process')
    const sink = world.open({})
    rotated('weixin', token(1))
    await sink.settled()
    expect(readdirSync(folder)).toEqual(['.weixin.json.11ff.tmp', 'weixin.json'])
  })

  it('closes while a write keeps failing, and writes nothing after that', async () => {
    mkdirSync(join(folder, 'weixin.json'))
    const sink = world.open({})
    rotated('weixin', token(1))
    await sink.close()
    rmSync(join(folder, 'weixin.json'), { recursive: true })
    rotated('weixin', token(2))
    await sink.settled()
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('as lines for a shell', () => {
  it('holds the token and its times under the name of the source', async () => {
    const sink = world.open({ format: 'env', path: join(folder, '{name}.env') })
    rotated('corp/shop-1', token(3))
    await sink.settled()
    expect(inFile('corp__shop-1.env').split('\n')).toEqual([
      'CORP_SHOP_1_TOKEN=token-3',
      `CORP_SHOP_1_EXPIRES_AT=${issuedAt / 1_000 + 7_200}`,
      `CORP_SHOP_1_ISSUED_AT=${issuedAt / 1_000}`,
      'CORP_SHOP_1_VERSION=3',
      '',
    ])
  })

  it.each(["it's", '$(touch /tmp/owned)', '`id`;"x" #', '~root', '\\'])(
    'gives %j to a shell as it is',
    async (value) => {
      const sink = world.open({ format: 'env', path: join(folder, '{name}.env') })
      rotated('1st', { ...token(1), token: value })
      await sink.settled()
      const script = '. "$1"; printf %s "$_1ST_TOKEN"'
      expect(execFileSync('sh', ['-c', script, 'sh', join(folder, '1st.env')], { encoding: 'utf8' })).toBe(value)
    },
  )

  it('refuses a token that would begin another line', async () => {
    const sink = world.open({ format: 'env' })
    rotated('weixin', { ...token(1), token: 'x\nPATH=/tmp' })
    await sink.settled()
    expect(readdirSync(folder)).toEqual([])
    expect(dropped()).toMatchObject([{ reason: 'refused', version: 1 }])
  })

  it('keeps what another node wrote, when this node is behind', async () => {
    writeFileSync(
      join(folder, 'weixin.json'),
      `WEIXIN_TOKEN=t9\nWEIXIN_ISSUED_AT=${issuedAt / 1_000}\nWEIXIN_VERSION=9\n`,
    )
    const sink = world.open({ format: 'env' })
    rotated('weixin', token(8, issuedAt - 1_000))
    await sink.settled()
    expect(inFile('weixin.json')).toContain('t9')
  })
})

describe('looked at again', () => {
  it('leaves a file alone that is as it should be', async () => {
    const sink = world.open({})
    rotated('weixin', token(1))
    await sink.settled()
    const { ino, mtimeMs } = statSync(join(folder, 'weixin.json'))
    sink.touch('weixin', 'current')
    await sink.settled()
    expect(statSync(join(folder, 'weixin.json'))).toMatchObject({ ino, mtimeMs })
  })

  it.each(['json', 'plain', 'env'] as const)('puts back a %s file that somebody changed or deleted', async (format) => {
    const sink = world.open({ format })
    rotated('weixin', token(1))
    await sink.settled()
    const before = inFile('weixin.json')
    for (const spoil of [
      () => rmSync(join(folder, 'weixin.json')),
      () => writeFileSync(join(folder, 'weixin.json'), ''),
    ]) {
      spoil()
      sink.touch('weixin', 'current')
      await sink.settled()
      expect(inFile('weixin.json').replace(/"expires_in": \d+/, '')).toBe(before.replace(/"expires_in": \d+/, ''))
    }
  })
})

describe.runIf(process.getuid?.() === 0)('whose it is', () => {
  it('belongs to the user and group that were asked for, by name or number', async () => {
    const sink = world.open({ owner: 'daemon', group: '12345', mode: 0o640 })
    rotated('weixin', token(1))
    await sink.settled()
    const { uid, gid, mode } = statSync(join(folder, 'weixin.json'))
    expect([uid, gid, mode & 0o777]).toEqual([1, 12_345, 0o640])
  })

  it('is given to whom the next start asks for, though nothing rotates', async () => {
    rotated('weixin', token(1))
    const first = world.open({})
    first.touch('weixin', 'current')
    await first.settled()
    expect(statSync(join(folder, 'weixin.json')).uid).toBe(0)
    const second = world.open({ owner: 'daemon' })
    second.touch('weixin', 'current')
    await second.settled()
    expect(statSync(join(folder, 'weixin.json')).uid).toBe(1)
  })

  it('is not written for a user that there is not, which is told', async () => {
    const sink = world.open({ owner: 'nobody-of-this-name' })
    rotated('weixin', token(1))
    while (failing().length === 0) await realMoment()
    await sink.close()
    expect(readdirSync(folder)).toEqual([])
    expect(failing()).toMatchObject([{ message: expect.stringContaining('nobody-of-this-name') as string }])
  })
})
