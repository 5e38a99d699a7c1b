import { describe, expect, test } from 'vitest'
import { ZhongkongError } from '../base/errors.ts'
import { Secret } from '../base/secret.ts'
import { createBus } from './bus.ts'
import { createLog, logEvents, logFault, type LogOptions } from './log.ts'

const planted = 'planted-7f3a9c-secret'

const open = (options: Partial<LogOptions> = {}) => {
  const lines: string[] = []
  const clock = { now: () => Date.UTC(2026, 0, 2, 3, 4, 5), monotonic: () => 0, sleep: () => Promise.resolve() }
  const destination = { write: (line: string) => void lines.push(line) }
  const log = createLog({ level: 'debug', env: { clock }, destination, secrets: () => [planted], ...options })
  return { log, lines }
}

describe('the log', () => {
  test('is one JSON object per line, with time, level and message', () => {
    const { log, lines } = open()
    log.info('hello', { port: 8888 })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/\}\n$/)
    expect(JSON.parse(lines[0]!)).toEqual({ level: 'info', time: '2026-01-02T03:04:05.000Z', port: 8888, msg: 'hello' })
  })

  test('is readable on a terminal', () => {
    const { log, lines } = open({ isTerminal: true })
    log.warn('weixin: failing', { source: 'weixin', count: 3 })
    expect(lines).toEqual(['03:04:05 WARN  weixin: failing source=weixin count=3\n'])
  })

  test('leaves out what is below its level', () => {
    const { log, lines } = open({ level: 'warn' })
    log.info('hello')
    expect(lines).toEqual([])
  })

  test('never shows a secret, wherever one was put', () => {
    const { log, lines } = open()
    const cause = new Error(`GET https://api.weixin.qq.com/cgi-bin/token?appid=x&secret=${planted}`)
    log.error(`failed with ${planted}`, {
      url: `https://x/?access_token=other-token-value&secret=${encodeURIComponent(planted)}`,
      secret: 'a-value-nobody-listed',
      nested: { list: [{ appSecret: 'another-value', token: 'a-third-value', text: planted }] },
      wrapped: new Secret('wrapped-value'),
      error: new ZhongkongError('internal', `detail ${planted}`, { cause }),
      [planted]: 1,
    })
    logFault(log, cause)
    logFault(log, `thrown text ${planted}`)
    const all = lines.join('')
    for (const secret of [
      planted,
      'other-token-value',
      'a-value-nobody-listed',
      'another-value',
      'a-third-value',
      'wrapped-value',
    ]) {
      expect(all).not.toContain(secret)
    }
    expect(all).toContain('"code":"internal"')
  })

  test('cannot be made to show a forged line or a terminal escape', () => {
    for (const isTerminal of [false, true]) {
      const { log, lines } = open({ isTerminal })
      log.info('a\n{"level":"error"}\u001b[31m', { name: 'b\r\nforged', 'key\n': 'x' })
      expect(lines).toHaveLength(1)
      expect(lines[0]!.slice(0, -1)).not.toMatch(/[\u0000-\u001f]/)
    }
  })

  test('bounds what it shows: long texts, deep and cyclic objects', () => {
    const { log, lines } = open()
    const cyclic: Record<string, unknown> = { big: 1n }
    cyclic.self = cyclic
    log.info('x'.repeat(10_000), { cyclic, list: Array.from({ length: 1_000 }, () => 'y') })
    expect(lines[0]!.length).toBeLessThan(6_000)
  })

  test('has a line for each event, with its source, and without what a failure may quote', () => {
    const { log, lines } = open()
    const bus = createBus((thrown) => {
      throw thrown
    })
    const stop = logEvents(bus, log)
    bus.emit({ type: 'rotated', name: 'weixin', at: 0, version: 2, expiresAt: 9, reason: 'due' })
    bus.emit({
      type: 'failing',
      name: 'weixin',
      at: 0,
      class: 'permission',
      failure: {
        code: 'upstream_rejected',
        message: `refused: secret=${planted}`,
        hint: { en: 'Add it.', zh: '请添加。' },
      },
    })
    bus.emit({ type: 'store-lost', at: 0, message: 'gone' })
    stop()
    bus.emit({ type: 'added', name: 'weixin', at: 0 })
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { level: 'info', event: 'rotated', source: 'weixin', version: 2 },
      { level: 'warn', event: 'failing', source: 'weixin', failure: { hint: 'Add it.' } },
      { level: 'error', event: 'store-lost' },
    ])
    expect(lines.join('')).not.toContain(planted)
  })
})
