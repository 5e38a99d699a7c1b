/** What the documents say is so: generated pages, links, and the commands that a reader would paste. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commands } from '../src/cli/commands.ts'
import { eventTypes } from '../src/model/event.ts'
import { errorsPage, eventsPage } from './documents/generated-pages.ts'
import { anchorsOf, localLinks, pagesBelow, shellLines, type Page } from './documents/markdown.ts'

const root = join(import.meta.dirname, '..')
const pages = pagesBelow(root)
const scripts = Object.keys(
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }).scripts,
)
const commandNames = commands.map((command) => command.name)

describe('generated pages', () => {
  it('docs/errors.md lists exactly the codes of base/errors.ts', async () => {
    await expect(errorsPage()).toMatchFileSnapshot('../docs/errors.md')
  })

  it('docs/events.md lists exactly the types of model/event.ts', async () => {
    await expect(eventsPage(eventTypes)).toMatchFileSnapshot('../docs/events.md')
  })
})

function brokenLinks(all: readonly Page[], exists: (path: string) => boolean): string[] {
  const byPath = new Map(all.map((page) => [page.path, page]))
  return all.flatMap((page) =>
    localLinks(page)
      .filter((link) => {
        const [file = '', anchor] = decodeURIComponent(link).split('#')
        const path = file === '' ? page.path : normalize(join(dirname(page.path), file))
        if (!exists(path)) return true
        const target = byPath.get(path)
        return anchor !== undefined && target !== undefined && !anchorsOf(target).has(anchor)
      })
      .map((link) => `${page.path}: ${link}`),
  )
}

/** Commands that a reader would paste and that are not there. */
function unknownCommands(page: Page): string[] {
  return shellLines(page).filter((line) => {
    const script = /\bnpm (?:run )?([a-z][a-z:-]*)/.exec(line)
    if (script !== null && script[0].includes(' run ') && !scripts.includes(script[1] ?? '')) return true
    const command = /(?:^|\s)(?:npx )?zhongkong ([a-z][a-z-]*)/.exec(line)
    return command !== null && command[1] !== 'help' && !commandNames.includes(command[1] ?? '')
  })
}

describe('the documents of the repository', () => {
  it('are there, and are looked at', () => {
    const paths = pages.map((page) => page.path)
    for (const path of ['README.md', 'README.zh-CN.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'STYLE.md']) {
      expect(paths).toContain(path)
    }
    expect(paths.filter((path) => path.startsWith('docs/decisions/0')).length).toBeGreaterThanOrEqual(6)
  })

  it('have no link into the repository that leads nowhere', () => {
    expect(brokenLinks(pages, (path) => existsSync(join(root, path)))).toEqual([])
  })

  it('name only commands and scripts that exist', () => {
    expect(pages.flatMap((page) => unknownCommands(page).map((line) => `${page.path}: ${line}`))).toEqual([])
  })

  it('have a script for each set-up step that the README promises', () => {
    expect(scripts).toEqual(expect.arrayContaining(['start', 'test', 'build', 'simulate', 'test:nodes', 'docs']))
    expect(statSync(join(root, '.ci', 'run')).mode & 0o100).toBe(0o100)
    expect(readFileSync(join(root, '.ci', 'run'), 'utf8')).toMatch(/\bnpm test\b/)
  })
})

describe('the checks themselves', () => {
  const page = (text: string): Page => ({ path: 'docs/page.md', text })

  it('see a dead link and a dead anchor, and leave code and other sites alone', () => {
    const text =
      '# One Two\n[a](gone.md) [b](#three) [c](#one-two) [d](https://x.test/gone) `[e](gone)`\n```\n[f](gone)\n```\n'
    expect(brokenLinks([page(text)], (path) => path === 'docs/page.md')).toEqual([
      'docs/page.md: gone.md',
      'docs/page.md: #three',
    ])
  })

  it('see a command and a script that do not exist', () => {
    const lines = ['npx zhongkong srve', 'npm run tset', 'npm test', 'zhongkong serve', 'TOKEN=$(zhongkong get weixin)']
    expect(unknownCommands(page(`\`\`\`sh\n${lines.join('\n')}\n\`\`\`\n`))).toEqual([
      'npx zhongkong srve',
      'npm run tset',
    ])
  })
})
