// Runs the tests and a short simulation on the other Node versions we promise. The Nodes come from npm, as plain
// binaries without install scripts, and are kept under node_modules/.cache. `npm run test:nodes -- 24` runs one of them,
// `npm run test:nodes -- 24 src/base` only the tests named.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { runSteps } from './steps.mjs'

const promised = ['22', '24']
const root = resolve(import.meta.dirname, '..')
const platform = process.platform === 'win32' ? 'win' : process.platform

/** The path of a Node of that major version, installed if need be. */
function nodeOf(major) {
  const name = `node-${platform}-${process.arch}`
  const folder = join(root, 'node_modules', '.cache', 'zhongkong-nodes', major)
  const program = join(folder, 'node_modules', name, 'bin', platform === 'win' ? 'node.exe' : 'node')
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    const npm = process.env.npm_execpath
    const [command, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm]
    execFileSync(command, [...first, 'install', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@${major}`], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 5 * 60_000,
    })
  }
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim()
  if (!version.startsWith(`v${major}.`)) throw new Error(`${program} says it is ${version}`)
  console.log(`Node ${version}: ${program}`)
  return program
}

const said = process.argv.slice(2)
const majors = said.filter((word) => /^\d+$/.test(word))
const only = said.filter((word) => !/^\d+$/.test(word))
const steps = (majors.length === 0 ? promised : majors).flatMap((major) => {
  const node = nodeOf(major)
  const tests = {
    name: `Node ${major}: tests`,
    command: [node, 'node_modules/vitest/vitest.mjs', 'run', ...only],
    minutes: 10,
  }
  const simulation = {
    name: `Node ${major}: simulation`,
    command: [node, 'dist/test/simulation/main.js', '--seeds', '10'],
    minutes: 3,
  }
  return only.length === 0 ? [tests, simulation] : [tests]
})
await runSteps(steps)
