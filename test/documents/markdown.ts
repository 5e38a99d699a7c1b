/** Questions about Markdown files: their links, their headings, the commands in their code blocks. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Page = { readonly path: string; readonly text: string }

const skipped = new Set(['node_modules', 'dist', '.git', 'coverage', 'data'])

/** Every Markdown file of the repository, with paths from its root. */
export function pagesBelow(root: string, folder = ''): Page[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : pagesBelow(root, path)
    return entry.name.endsWith('.md') ? [{ path, text: readFileSync(join(root, path), 'utf8') }] : []
  })
}

const fence = /^( *)(```+|~~~+)[^\n]*\n([\s\S]*?)^\1\2[^\n]*$/gm

function prose(text: string): string {
  return text.replace(fence, '').replace(/`[^`\n]*`/g, '')
}

/** Targets of links and images that lead into the repository. */
export function localLinks({ text }: Page): string[] {
  const targets = [...prose(text).matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)].map((match) => match[1] ?? '')
  return targets.filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
}

/** Anchors of the headings, made as GitHub makes them. */
export function anchorsOf({ text }: Page): Set<string> {
  const seen = new Map<string, number>()
  const headings = [...text.replace(fence, '').matchAll(/^#{1,6} +(.+?) *#*$/gm)].map((match) => match[1] ?? '')
  const anchors = headings.map((heading) => {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = plain.replace(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-')
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    return count === 0 ? slug : `${slug}-${count}`
  })
  return new Set(anchors)
}

/** The lines of shell code blocks (`sh`, `bash`, `console`), without prompts and comments. */
export function shellLines({ text }: Page): string[] {
  return [...text.matchAll(fence)]
    .filter((match) => /^ *```(?:sh|bash|shell|console)\s*$/m.test(match[0].split('\n')[0] ?? ''))
    .flatMap((match) => (match[3] ?? '').split('\n'))
    .map((line) => line.trim().replace(/^\$ /, ''))
    .filter((line) => line !== '' && !line.startsWith('#'))
}
