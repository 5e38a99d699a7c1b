import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cut, pad, printable, widthOf, wrap } from './terminal.ts'

describe('widths', () => {
  it.each([
    ['abc', 3],
    ['令牌', 4],
    ['a令b', 4],
    ['（好）', 6],
    ['e\u0301', 1],
    ['\u200b', 0],
    ['😀', 2],
    ['…', 1],
  ])('%j takes %i columns', (text, width) => {
    expect(widthOf(text)).toBe(width)
  })

  it('pads by columns, not by characters', () => {
    expect(pad('令牌', 6)).toBe('令牌  ')
    expect(pad('toolong', 3)).toBe('toolong')
  })

  it('never cuts a text to more columns than asked, and marks the cut', () => {
    expect(cut('令牌已失效', 5)).toBe('令牌…')
    expect(cut('令牌', 4)).toBe('令牌')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, width) => widthOf(cut(text, width)) <= width),
    )
  })
})

describe('wrapping', () => {
  it('breaks between words', () => {
    expect(wrap('the quick brown fox', 10)).toBe('the quick\nbrown fox')
  })

  it('breaks Chinese between characters, but never before a closing mark or after an opening one', () => {
    expect(wrap('令牌已经失效，请重试', 12)).toBe('令牌已经失\n效，请重试')
    expect(wrap('一二三四（五六）', 10)).toBe('一二三四\n（五六）')
  })

  it('keeps a Latin word whole inside Chinese', () => {
    expect(wrap('请检查zhongkong.yaml文件', 14)).toBe('请检查\nzhongkong.yaml\n文件')
  })

  it('keeps line breaks and indentation that were there', () => {
    expect(wrap('a\n  b', 10)).toBe('a\n  b')
  })

  it('loses nothing but spaces, whatever the text and width', () => {
    const words = fc.array(fc.constantFrom('token', '令牌', '，', '（', 'a', ' ', '40164', '。'), { maxLength: 40 })
    fc.assert(
      fc.property(words, fc.integer({ min: 2, max: 40 }), (pieces, width) => {
        const text = pieces.join('')
        expect(wrap(text, width).replace(/\s/g, '')).toBe(text.replace(/\s/g, ''))
      }),
    )
  })
})

describe('texts from elsewhere', () => {
  it('cannot move the cursor, name the window or turn the direction of writing', () => {
    expect(printable('a\u001b[2Jb\u0007c\u202ed\ne\u009bf')).toBe('a [2Jb c d e f')
  })
})
