/** How wide texts are in a terminal, where Chinese characters take two columns, and how they are cut, padded and wrapped. */

/** Columns that a text takes. */
export function widthOf(text: string): number {
  let width = 0
  for (const character of text) width += characterWidth(character)
  return width
}

const invisible = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]$/u

/** East Asian wide and full-width ranges of Unicode (UAX #11), and the pictographs that terminals draw wide. */
const wideRanges: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
]

function characterWidth(character: string): 0 | 1 | 2 {
  const code = character.codePointAt(0) ?? 0
  if (code >= 0x20 && code < 0x7f) return 1
  if (invisible.test(character)) return 0
  return wideRanges.some(([first, last]) => code >= first && code <= last) ? 2 : 1
}

/**
 * A text from elsewhere (a server, a file, an upstream) as it may be shown: control characters, which could move the
 * cursor or rename the window, and marks that turn the direction of writing are replaced.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, ' ')
}

/** The text padded with spaces to `width` columns; longer ones stay as they are. */
export function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)))
}

/** The text cut to `width` columns, with an ellipsis where something was cut. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let kept = ''
  let taken = 0
  for (const character of text) {
    taken += characterWidth(character)
    if (taken > width - 1) break
    kept += character
  }
  return width > 0 ? `${kept}…` : ''
}

/** Closing marks that must not begin a line, and opening ones that must not end one. */
const neverFirst = /^[，。；：！？、）》」』】…,.;:!?)\]}]/u
const neverLast = /[（《「『【([{]$/u

/** Breaks a text into lines of at most `width` columns: between words, and between Chinese characters. */
export function wrap(text: string, width: number): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, Math.max(width, 2)))
    .join('\n')
}

function wrapLine(line: string, width: number): string {
  const lines: string[] = []
  let current = ''
  for (const piece of unbreakables(line)) {
    if (current !== '' && widthOf(current + piece.trimEnd()) > width) {
      lines.push(current.trimEnd())
      current = piece.trimStart()
    } else {
      current += piece
    }
  }
  lines.push(current.trimEnd())
  return lines.join('\n')
}

/** Words with the spaces after them, and single wide characters together with the marks that cling to them. */
function unbreakables(line: string): string[] {
  const pieces: string[] = []
  for (const [atom] of line.matchAll(/ +|[^\s]/gu)) {
    const last = pieces.at(-1)
    if (last === undefined || startsNewPiece(last, atom)) pieces.push(atom)
    else pieces[pieces.length - 1] = last + atom
  }
  return pieces
}

/** Ends in a character of a wide range, all of which lie at or above U+1100. */
const endsWide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u

function startsNewPiece(last: string, atom: string): boolean {
  if (atom.startsWith(' ') || neverFirst.test(atom) || neverLast.test(last)) return false
  return last.endsWith(' ') || characterWidth(atom) === 2 || endsWide.test(last)
}
