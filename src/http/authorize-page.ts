/** The pages that people see on their way through an authorisation: self-contained, without scripts, in their language. */
import { sha256 } from '../base/secret.ts'
import type { Language, Text } from '../base/text.ts'
import type { Answer } from './answer.ts'

export type Page = {
  readonly status: number
  readonly tone: 'good' | 'bad' | 'onward'
  readonly title: Text
  /** The source, as a caption; empty where none is told. */
  readonly name: string
  /** Paragraphs in the reader's language. */
  readonly lines: readonly string[]
  /** The upstream's words and our code, for whoever looks into it. */
  readonly details?: string
  /** Where to go on, and in which words. */
  readonly onward?: { readonly href: string; readonly text: Text }
  readonly headers?: readonly string[]
}

const style = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #f4f6f8; --card: #fff; --good: #0f8a5f; --bad: #b3402a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf1; --soft: #9aa6b5; --paper: #12161c; --card: #1b212a; --good: #4cc79a; --bad: #f08a70; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.6 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; }
main { width: 100%; max-width: 30rem; padding: 2.25rem; border-radius: 1rem; background: var(--card);
  border-top: .3rem solid var(--tone); box-shadow: 0 .5rem 2rem rgb(0 0 0 / .08); }
main.good { --tone: var(--good); }
main.bad { --tone: var(--bad); }
main.onward { --tone: var(--ink); }
.mark { font-size: 2.25rem; line-height: 1; color: var(--tone); }
h1 { margin: .75rem 0 .25rem; font-size: 1.35rem; overflow-wrap: anywhere; }
.name { margin: 0 0 1.25rem; color: var(--soft); overflow-wrap: anywhere; }
p { margin: .6rem 0; }
code { display: block; margin-top: 1.25rem; padding: .6rem .8rem; border-radius: .5rem; background: var(--paper);
  color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
a { display: inline-block; margin-top: 1.25rem; padding: .55rem 1.1rem; border-radius: .5rem; background: var(--tone);
  color: var(--card); text-decoration: none; }
a:focus-visible { outline: .2rem solid var(--ink); outline-offset: .15rem; }
`

export function page(page: Page, language: Language): Answer {
  const { status, tone, title, name, lines, details, onward, headers = [] } = page
  const parts = [
    `<div class="mark" aria-hidden="true">${marks[tone]}</div>`,
    `<h1>${escaped(title[language])}</h1>`,
    ...(name === '' ? [] : [`<p class="name">${escaped(name)}</p>`]),
    ...lines.map((line) => `<p>${escaped(line)}</p>`),
    ...(details === undefined ? [] : [`<code>${escaped(details)}</code>`]),
    ...(onward === undefined ? [] : [`<a href="${escaped(onward.href)}">${escaped(onward.text[language])}</a>`]),
  ]
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>${escaped(title[language])} · zhongkong</title><style>${style}</style>`
  const lang = language === 'zh' ? 'zh-CN' : 'en'
  return {
    status,
    type: pageType,
    body: `<!doctype html>\n<html lang="${lang}"><head>${head}</head>\n<body><main class="${tone}">\n${parts.join('\n')}\n</main></body></html>\n`,
    headers: [...policyHeaders(), ...headers],
  }
}

const marks = { good: '✓', bad: '✕', onward: '→' } as const

export const pageType = 'text/html; charset=utf-8'

/** Nothing is loaded, run, framed or sent; the one style is named by its digest. */
function policyHeaders(): readonly string[] {
  const digest = sha256(style).toString('base64')
  const policy = `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
  return ['Content-Security-Policy', policy, 'X-Frame-Options', 'DENY', 'Cross-Origin-Opener-Policy', 'same-origin']
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
