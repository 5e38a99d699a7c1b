import { describe, expect, it } from 'vitest'
import { ZhongkongError } from '../base/errors.ts'
import { CliFault, faultLines } from './fault.ts'

describe('a failure', () => {
  it('is one block: what is wrong, and under it what to do', () => {
    const fault = new CliFault(1, { en: 'no', zh: '不行' }, { en: 'do this\nand that', zh: '这样做' })
    expect(faultLines(fault, 'en')).toEqual({ lines: ['error: no', '  do this', '  and that'], exitCode: 1 })
    expect(faultLines(fault, 'zh')).toEqual({ lines: ['错误：不行', '  这样做'], exitCode: 1 })
  })

  it('of the configuration ends with 2, of anything else with 1', () => {
    expect(faultLines(new ZhongkongError('config_invalid', 'x'), 'en').exitCode).toBe(2)
    expect(faultLines(new ZhongkongError('store_newer', 'x'), 'en').exitCode).toBe(1)
    expect(faultLines(new TypeError('x'), 'en').exitCode).toBe(1)
  })

  it('has the hint of the error, or what its code says', () => {
    const hint = { en: 'upgrade', zh: '升级' }
    expect(faultLines(new ZhongkongError('internal', 'x', { hint }), 'en').lines).toEqual(['error: x', '  upgrade'])
    expect(faultLines(new ZhongkongError('overloaded', 'x'), 'en').lines[1]).toBe(
      '  Too much at once. Try again in a moment.',
    )
  })

  it('says in Chinese what it means before the English words of the error itself', () => {
    const hint = { en: 'upgrade', zh: '升级' }
    expect(faultLines(new ZhongkongError('store_newer', 'x.db: format 9', { hint }), 'zh').lines).toEqual([
      '错误：存储由更新版本的 zhongkong 写入，请升级本节点。',
      '  x.db: format 9',
      '  升级',
    ])
    expect(faultLines(new ZhongkongError('overloaded', 'x'), 'zh').lines).toEqual([
      '错误：请求过多，请稍后再试。',
      '  x',
    ])
  })

  it('cannot play with the terminal', () => {
    const fault = new CliFault(1, { en: 'a\u001b[31mb', zh: '' })
    expect(faultLines(fault, 'en').lines).toEqual(['error: a [31mb'])
  })
})
