/** The recipes in other languages while the server, or somebody before it, does not behave; each where its language is installed. */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { createServer, type ServerResponse } from 'node:http'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
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
tokens = Tokens(sys.argv[1], "the-key", timeout=2)
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
  PHP: `<?php
require 'zhongkong.php';
$tokens = new Zhongkong($argv[1], 'the-key');
while (($line = fgets(STDIN)) !== false) {
    $words = explode(' ', trim($line));
    try {
        echo $tokens->{array_shift($words)}(...$words), "\\n";
    } catch (Exception $problem) {
        echo 'error: ', $problem->getMessage(), "\\n";
    }
}
`,
  Go: `package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

func main() {
	tokens := &Tokens{URL: os.Args[1], Key: "the-key"}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		var token string
		var err error
		if words[0] == "get" {
			token, err = tokens.Get(words[1])
		} else {
			token, err = tokens.Refused(words[1], words[2])
		}
		if err != nil {
			token = "error: " + err.Error()
		}
		fmt.Println(token)
	}
}
`,
}

/**
 * What is shortened in each, so that the test need not wait as long as programs do: how long a token is kept without asking,
 * how long a server that is away is left alone, and the patience with one answer.
 */
const recipes: readonly Recipe[] = [
  {
    language: 'Python',
    probe: ['python3', '--version'],
    shorter: { 'KEEP_SECONDS = 60': 'KEEP_SECONDS = 0.05', 'AWAY_SECONDS = 5': 'AWAY_SECONDS = 2' },
    files: ['zhongkong.py', 'driver.py'],
    run: ['python3', 'driver.py'],
  },
  {
    language: 'Java',
    probe: ['javac', '-version'],
    shorter: {
      'KEEP_SECONDS = 60': 'KEEP_SECONDS = 0.05',
      'AWAY_SECONDS = 5': 'AWAY_SECONDS = 2',
      'get(10, TimeUnit': 'get(2, TimeUnit',
    },
    files: ['Zhongkong.java', 'Driver.java'],
    build: ['javac', 'Zhongkong.java', 'Driver.java'],
    run: ['java', '-cp', '.', 'Driver'],
  },
  {
    language: 'PHP',
    probe: ['php', '--version'],
    shorter: {
      'KEEP_SECONDS = 60': 'KEEP_SECONDS = 0.05',
      'AWAY_SECONDS = 5': 'AWAY_SECONDS = 2',
      'CURLOPT_TIMEOUT => 10': 'CURLOPT_TIMEOUT => 2',
    },
    files: ['zhongkong.php', 'driver.php'],
    run: ['php', 'driver.php'],
  },
  {
    language: 'Go',
    probe: ['go', 'version'],
    shorter: {
      'keep = time.Minute': 'keep = 50 * time.Millisecond',
      'away = 5 *': 'away = 2 *',
      'Timeout:       10 *': 'Timeout:       2 *',
      'func main()': 'func demonstrate()',
    },
    files: ['zhongkong.go', 'driver.go'],
    build: ['go', 'build', '-o', 'driver', 'zhongkong.go', 'driver.go'],
    run: ['./driver'],
  },
]

type Recipe = {
  readonly language: keyof typeof drivers
  readonly probe: readonly [string, string]
  readonly shorter: Readonly<Record<string, string>>
  /** The recipe, and the driver. */
  readonly files: readonly [string, string]
  readonly build?: readonly [string, ...string[]]
  readonly run: readonly [string, ...string[]]
}

/** How long a server that is away is left alone by the shortened recipes, and a little more, in milliseconds. */
const awayMs = 2_100

async function prepare({ language, shorter, files: [recipe, driver], build }: Recipe, folder: string): Promise<void> {
  let source = await readFile(join(repository, 'examples/recipes', recipe), 'utf8')
  for (const [long, short] of Object.entries(shorter)) {
    expect(source).toContain(long)
    source = source.replace(long, short)
  }
  await writeFile(join(folder, recipe), source)
  await writeFile(join(folder, driver), drivers[language])
  if (build !== undefined) {
    const [command, ...args] = build
    await promisify(execFile)(command, args, { cwd: folder, env: quiet })
  }
}

const quiet = { ...process.env, JAVA_TOOL_OPTIONS: '' }

type Way = (response: ServerResponse, path: string) => void

const said =
  (status: number, body: unknown, headers: Record<string, string> = {}): Way =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }

const token = (value: string, version: number, issuedAt: number): Way =>
  said(200, { name: 'weixin', token: value, expires_in: 600, expires_at: 0, issued_at: issuedAt, version, fields: {} })

for (const recipe of recipes) {
  const { language, probe } = recipe
  const isThere = spawnSync(probe[0], [probe[1]], { timeout: 10_000 }).status === 0
  test.skipIf(!isThere)(
    `the recipe in ${language} gives a token that lives whatever answers in place of the server, and nobody the key`,
    { concurrent: true, timeout: 90_000 },
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
      await prepare(recipe, folder)
      const [command, ...args] = recipe.run
      const child = spawn(command, [...args, `http://127.0.0.1:${portOf(server)}`], {
        cwd: folder,
        stdio: ['pipe', 'pipe', 'ignore'],
        env: quiet,
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
        // A program that has just begun may be slower than its patience, on a machine with much else to do.
        let first = await say('get weixin')
        for (let tries = 1; first !== 'five' && tries < 10; tries += 1) first = await say('get weixin')
        expect(first).toBe('five')

        // A proxy whose server is away says so in its own words; then nobody is asked for a while.
        way = said(502, '<html>Bad Gateway</html>', { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' })
        expect(await say('get weixin')).toBe('five')
        const before = asked
        expect(await say('get weixin')).toBe('five')
        expect(asked).toBe(before)
        expect(await say('get other')).toMatch(/^error: .*502.*, and not from zhongkong$/)
        // Reports are not held back.
        way = token('six', 6, 60)
        expect(await say('refused weixin five')).toBe('six')

        await moment(awayMs)
        way = (response) => {
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
          response.write('{"name":')
        }
        expect(await say('get weixin')).toBe('six')
        await moment(awayMs)
        way = said(200, '[]')
        expect(await say('get weixin')).toBe('six')

        await moment(awayMs)
        way = said(302, '', { location: `http://localhost:${portOf(other)}/v1/tokens/weixin` })
        expect(await say('get weixin')).toBe('six')
        expect(stranger).toEqual([])

        // A late answer changes nothing; one of a store that began anew does.
        await moment(awayMs)
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
  )
}
