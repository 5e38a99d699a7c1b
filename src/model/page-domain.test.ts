import { describe, expect, test } from 'vitest'
import { isPageDomain, parsePageDomain } from './page-domain.ts'

describe('a domain', () => {
  test.each([
    ['shop.example.com', 'shop.example.com'],
    [' Shop.Example.COM ', 'shop.example.com'],
    ['*.example.com', '*.example.com'],
    ['例子.中国', 'xn--fsqu00a.xn--fiqs8s'],
    ['localhost:8890', 'localhost:8890'],
    ['127.0.0.1:8890', '127.0.0.1:8890'],
    ['shop.example.com:443', 'shop.example.com'],
    ['shop.example.com:80', 'shop.example.com'],
    ['*.example.com:8443', '*.example.com:8443'],
  ])('%s is %s', (text, domain) => {
    expect(parsePageDomain(text)).toBe(domain)
  })

  test.each([
    '',
    '*',
    '*.com',
    '*.',
    'a.*.com',
    '*example.com',
    'https://shop.example.com',
    'shop.example.com/pay',
    'shop.example.com.',
    'user@shop.example.com',
    'a b.com',
    'shop.example.com:99999',
    'shop.example.com:x',
    '*.127.0.0.1',
    'a%2eb.com',
  ])('%j is none', (text) => {
    expect(parsePageDomain(text)).toBeNull()
  })
})

describe('a host', () => {
  const domains = ['shop.example.com', '*.pages.example.com', 'localhost:8890']

  test.each(['shop.example.com', 'a.pages.example.com', 'a.b.pages.example.com', 'localhost:8890'])(
    '%s is one',
    (host) => {
      expect(isPageDomain(host, domains)).toBe(true)
    },
  )

  test.each([
    'example.com',
    'pages.example.com',
    '.pages.example.com',
    'evilpages.example.com',
    'xshop.example.com',
    'shop.example.com.evil.cn',
    'shop.example.com.',
    'shop.example.com:8443',
    'a.pages.example.com:8443',
    'localhost',
    'localhost:88900',
    '',
  ])('%j is none', (host) => {
    expect(isPageDomain(host, domains)).toBe(false)
  })
})
