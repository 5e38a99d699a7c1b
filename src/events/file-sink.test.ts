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
import type { Env } from '../base/env.ts'
import { createBus, type Bus } from './bus.ts'
import { createFileSink, type FileSink, type FileSinkTarget, type SinkFault, type SinkToken } from './file-sink.ts'

let folder: string
let world: World

type World = {
  readonly bus: Bus
  readonly tokens: Map<string, SinkToken>
  readonly faults: SinkFault[]
  readonly sleeps: number[]
  readonly open: (target: Partial<FileSinkTarget>) => FileSink
  /** Runs at each sleep, in place of time. */
  onSleep: () => void
  closes: (() => Promise<void>)[]
  isClosing: boolean
}

function createWorld(): World {
  const made: World = {
    bus: createBus((thrown) => {
      throw thrown
    }),
    tokens: new Map(),
    faults: [],
    sleeps: [],
    closes: [],
    isClosing: false,
    onSleep: () => undefined,
    open: (target) => {
      const sink = createFileSink({
        sinks: [{ sources: ['*'], path: join(folder, '{name}.json'), format: 'json', mode: 0o600, ...target }],
        read: async (name) => made.tokens.get(name) ?? null,
        bus: made.bus,
        env,
        onFault: (fault) => made.faults.push(fault),
      })
      const close = async (): Promise<void> => {
        made.isClosing = true
        await sink.close()
      }
      made.closes.push(close)
      return { ...sink, close }
    },
  }
  let serial = 0
  const env: Env = {
    clock: {
      now: () => 1_000_000_000,
      monotonic: () => 0,
      sleep: async (ms, signal) => {
        made.sleeps.push(ms)
        made.onSleep()
        // Closing sleeps too, as its limit: real writes must be able to win.
        if (made.isClosing) await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
      },
    },
    random: { next: () => 0.5, bytes: (length) => new Uint8Array(length).fill((serial += 1)) },
    fetch: () => Promise.reject(new Error('no network here')),
  }
  return made
}

const token = (version: number, issuedAt = 1_000_000_000): SinkToken => ({
  token: `token-${version}`,
  version,
  issuedAt,
  expiresAt: 1_000_000_000 + 7_200_500,
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
      expires_at: 1_007_200,
      issued_at: 1_000_000,
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
    sink.catchUp(['weixin', 'without_token'])
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
      expect(world.faults).toHaveLength(1)
    },
  )

  it('never tells a token in a fault', async () => {
    writeFileSync(join(folder, 'in'), '')
    const sink = world.open({ path: join(folder, 'in', '{name}') })
    const failed = new Promise<void>((resolve) => {
      world.onSleep = resolve
    })
    rotated('weixin', token(1))
    await failed
    await sink.close()
    expect(world.faults).toHaveLength(1)
    expect(`${String(world.faults[0]?.cause)} ${JSON.stringify(world.faults)}`).not.toContain('token-1')
  })
})

describe('never an older version over a newer one', () => {
  it('keeps what another node wrote, when this node is behind', async () => {
    writeFileSync(join(folder, 'weixin.json'), JSON.stringify({ version: 9, issued_at: 1_000_000, token: 'token-9' }))
    const sink = world.open({})
    rotated('weixin', token(8, 999_000_000))
    await sink.settled()
    expect(JSON.parse(inFile('weixin.json'))).toMatchObject({ version: 9 })
  })

  it('keeps a newer version when a late answer brings an older one, also in a plain file', async () => {
    const sink = world.open({ format: 'plain' })
    rotated('weixin', token(2, 1_000_000_900))
    await sink.settled()
    rotated('weixin', token(1, 1_000_000_100))
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
    expect(world.faults.map((fault) => fault.name)).toEqual(['a__b'])
  })
})

describe('when a write fails', () => {
  it('tries again until it works, tells it once, and writes the newest value then', async () => {
    writeFileSync(join(folder, 'in'), 'a file where a folder should be')
    const sink = world.open({ path: join(folder, 'in', '{name}'), format: 'plain' })
    world.onSleep = () => {
      if (world.sleeps.length === 2) world.tokens.set('weixin', token(2))
      if (world.sleeps.length === 4) rmSync(join(folder, 'in'))
    }
    rotated('weixin', token(1))
    await sink.settled()
    expect(inFile('in/weixin')).toBe('token-2')
    expect(world.faults).toHaveLength(1)
    expect(world.sleeps).toEqual([375, 750, 1_500, 3_000])
  })

  it('goes on with the other sources meanwhile', async () => {
    mkdirSync(join(folder, 'stuck.json'))
    const sink = world.open({})
    world.onSleep = () => {
      if (readdirSync(folder).includes('weixin.json'))
        rmSync(join(folder, 'stuck.json'), { recursive: true, force: true })
    }
    rotated('stuck', token(1))
    rotated('weixin', token(1))
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
