/** The recipes in other languages while the server, or somebody before it, does not behave; each where its language is installed. */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { createServer, type ServerResponse } from 'node:http'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { moment } from '../end-to-end/stage.ts'
import { repository } from '../repository.ts'

/** A line in, a line out: `get NAME` and `refused NAME TOKEN`. */
const drivers = {
  Python: `
import sys
from zhongkong import Tokens
Tokens.KEEP_SECONDS = 0.05
tokens = Tokens(sys.argv[1], "the-key", timeout=1)
for line in sys.stdin:
    word, *rest = line.split()
    try:
        print(getattr(tokens, word)(*rest), flush=True)
    except Exception as problem:
        print("error:", problem, flush=True)
`,
  Java: `
import java.io.*;
public class Driver {
    public static void main(String[] args) throws Exception {
        Zhongkong tokens = new Zhongkong(args[0], "the-key");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            try {
                System.out.println(words[0].equals("get") ? tokens.get(words[1]) : tokens.refused(words[1], words[2]));
            } catch (Exception problem) {
                System.out.println("error: " + problem.getMessage());
            }
        }
    }
}
`,
}

const recipes = {
  Python: async (folder: string): Promise<[string, ...string[]]> => {
    await copyFile(join(repository, 'examples/recipes/zhongkong.py'), join(folder, 'zhongkong.py'))
    await writeFile(join(folder, 'driver.py'), drivers.Python)
    return ['python3', 'driver.py']
  },
  Java: async (folder: string): Promise<[string, ...string[]]> => {
    // A minute is shortened, and the patience with one answer.
    const source = (await readFile(join(repository, 'examples/recipes/Zhongkong.java'), 'utf8'))
      .replace('KEEP_SECONDS = 60', 'KEEP_SECONDS = 0.05')
      .replace('get(10, TimeUnit', 'get(1, TimeUnit')
    await writeFile(join(folder, 'Zhongkong.java'), source)
    await writeFile(join(folder, 'Driver.java'), drivers.Java)
    await promisify(execFile)('javac', ['Zhongkong.java', 'Driver.java'], { cwd: folder })
    return ['java', '-cp', '.', 'Driver']
  },
}

const probes = { Python: ['python3', '--version'], Java: ['javac', '-version'] } as const

type Way = (response: ServerResponse, path: string) => void

const said =
  (status: number, body: unknown, headers: Record<string, string> = {}): Way =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }

const token = (value: string, version: number, issuedAt: number): Way =>
  said(200, { name: 'weixin', token: value, expires_in: 600, expires_at: 0, issued_at: issuedAt, version, fields: {} })

for (const [language, prepare] of Object.entries(recipes)) {
  const [program, flag] = probes[language as keyof typeof recipes]
  const isThere = spawnSync(program, [flag], { timeout: 10_000 }).status === 0
  test.skipIf(!isThere)(
    `the recipe in ${language} gives a token that lives whatever answers in place of the server, and nobody the key`,
    async () => {
      let way: Way = token('five', 5, 50)
      let asked = 0
      const stranger: (string | undefined)[] = []
      const other = createServer(({ headers }, response) => {
        stranger.push(headers.authorization)
        token('stolen', 9, 90)(response, '')
      })
      const server = createServer((request, response) => {
        asked += 1
        way(response, request.url ?? '')
      })
      for (const one of [other, server]) await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve))
      const portOf = (one: typeof server): number => {
        const address = one.address()
        return typeof address === 'object' && address !== null ? address.port : 0
      }
      const folder = await mkdtemp(join(tmpdir(), 'zhongkong-recipe-'))
      const [command, ...args] = await prepare(folder)
      const child = spawn(command, [...args, `http://127.0.0.1:${portOf(server)}`], {
        cwd: folder,
        stdio: ['pipe', 'pipe', 'ignore'],
        env: { ...process.env, JAVA_TOOL_OPTIONS: '' },
      })
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const say = async (line: string): Promise<string> => {
        // Longer than a token is kept without asking.
        await moment(100)
        child.stdin.write(`${line}\n`)
        const { value } = (await lines.next()) as { value?: string }
        return value ?? 'nothing'
      }
      try {
        expect(await say('get weixin')).toBe('five')

        // A proxy whose server is away says so in its own words; then nobody is asked for a while.
        way = said(502, '<html>Bad Gateway</html>', { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' })
        expect(await say('get weixin')).toBe('five')
        const before = asked
        expect(await say('get weixin')).toBe('five')
        expect(asked).toBe(before)
        expect(await say('get other')).toBe('error: HTTP 502, and not from zhongkong')
        // Reports are not held back.
        way = token('six', 6, 60)
        expect(await say('refused weixin five')).toBe('six')

        await moment(5_000)
        way = (response) => {
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
          response.write('{"name":')
        }
        expect(await say('get weixin')).toBe('six')
        await moment(5_000)
        way = said(200, '[]')
        expect(await say('get weixin')).toBe('six')

        await moment(5_000)
        way = said(302, '', { location: `http://localhost:${portOf(other)}/v1/tokens/weixin` })
        expect(await say('get weixin')).toBe('six')
        expect(stranger).toEqual([])

        // A late answer changes nothing; one of a store that began anew does.
        await moment(5_000)
        way = token('four', 4, 40)
        expect(await say('get weixin')).toBe('six')
        way = token('one', 1, 70)
        expect(await say('refused weixin six')).toBe('one')
        expect(await say('get weixin')).toBe('one')

        // What the server itself refuses is refused.
        way = said(403, { code: 'forbidden', detail: 'not for you' })
        expect(await say('get weixin')).toBe('error: not for you')
      } finally {
        child.kill()
        server.closeAllConnections()
        await Promise.all([server, other].map((one) => new Promise((resolve) => one.close(resolve))))
        await rm(folder, { recursive: true })
      }
    },
    90_000,
  )
}
