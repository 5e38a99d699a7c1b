import { describe, expect, test } from 'vitest'
import { cardSignature, dingtalkAddress, pageOf, pageSignature } from './page-signature.ts'

const wechatTicket = 'sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg'
const wechat = { ticket: wechatTicket, nonce: 'Wm3WZYTPz0wzccnW', timestamp: '1414587457' }
const feishu = { ticket: '617bf955832a4d4d80d9d8d85917a427', nonce: 'Y7a8KkqX041bsSwT', timestamp: 1_510_045_655_000 }

describe('the examples that platforms give', () => {
  test.each([
    ['WeChat, WeCom', wechat, 'http://mp.weixin.qq.com?params=value', '0f9de62fce790f9a083d5c99e95740ceb90c27ed'],
    ['WeChat, older', wechat, 'http://mp.weixin.qq.com', 'f4d90daf4b3bca3078ab155816175ba34c443a7b'],
    [
      'Feishu, older',
      feishu,
      'https://m.haiwainet.cn/ttc/3541093/2018/0509/content_31312407_1.html',
      '2ee6a79c182eeec8d76e7474136edb6e617b8d58',
    ],
    ['Feishu', feishu, 'https://example.cn/test/1234/content.html', '40a68999ecf7e05907edba43b31a50fd1830c777'],
  ])('%s', (_, { ticket, nonce, timestamp }, url, signature) => {
    const { signed = '' } = pageOf(`${url}#/any/route?x=1`) ?? {}
    expect(pageSignature({ ticket, nonce, timestamp, url: signed })).toBe(signature)
  })

  test('a card', () => {
    expect(cardSignature(['789', '', '456', '123'])).toBe('f7c3bc1d808e04732adf679965ccc34ca7ae3441')
  })

  test('values of a card are sorted by their characters, not by any language', () => {
    expect(cardSignature(['a', 'B', '_', '1'])).toBe(cardSignature(['1', 'B', '_', 'a']))
    expect(cardSignature(['a', 'B'])).not.toBe(cardSignature(['aB']))
  })
})

describe('the address of a page', () => {
  test.each([
    ['https://shop.example.com/pay?order=1#done', 'https://shop.example.com/pay?order=1', 'shop.example.com'],
    ['https://shop.example.com/#', 'https://shop.example.com/', 'shop.example.com'],
    ['https://shop.example.com:8443/a', 'https://shop.example.com:8443/a', 'shop.example.com:8443'],
    ['https://a.cn/?q=%E4%B8%AD&r=%20', 'https://a.cn/?q=%E4%B8%AD&r=%20', 'a.cn'],
    ['https://a.cn/中?q=文', 'https://a.cn/%E4%B8%AD?q=%E6%96%87', 'a.cn'],
    ['https://xn--fiqs8s.cn/', 'https://xn--fiqs8s.cn/', 'xn--fiqs8s.cn'],
    ['HTTPS://A.CN/', 'HTTPS://A.CN/', 'a.cn'],
    ['https://a.cn/x?to=https://b.cn/@c', 'https://a.cn/x?to=https://b.cn/@c', 'a.cn'],
  ])('%s', (address, signed, host) => {
    expect(pageOf(address)).toEqual({ signed, host })
  })

  test.each([
    '',
    'shop.example.com/pay',
    '//shop.example.com/',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'ftp://shop.example.com/',
    'https:shop.example.com',
    'https:///shop.example.com',
    'https://user@evil.cn/',
    'https://shop.example.com@evil.cn/',
    'https://user:password@evil.cn/',
    'https://@evil.cn/',
    'https://:@evil.cn/',
    'https://shop.example.com\\@evil.cn/',
    'https://shop.example.com\\.evil.cn/',
    'https://shop.example.com/a\nb',
    'https://shop.example.com/a\r\nSet-Cookie: x',
    'https://shop.example.com/a b',
    'https://shop.example.com/\u0000',
    'https://shop.example\t.com/',
    ' https://shop.example.com/',
    'https://shop.example.com:99999/',
    `https://shop.example.com/${'x'.repeat(4_096)}`,
  ])('%j is none', (address) => {
    expect(pageOf(address)).toBeNull()
  })

  test('of DingTalk has its query decoded, as its samples have it', () => {
    expect(dingtalkAddress('https://a.cn/%E4?x=%E4%B8%AD+1&y=%2F')).toBe('https://a.cn/%E4?x=中 1&y=/')
    expect(dingtalkAddress('https://a.cn/?x=%zz')).toBe('https://a.cn/?x=%zz')
    expect(dingtalkAddress('https://a.cn/%20')).toBe('https://a.cn/%20')
  })
})
