// What `npm test` runs: everything, in order, each step bounded. With arguments it runs only the tests they name:
// `npm test -- src/base`.
import { runSteps } from './steps.mjs'

const node = process.execPath
const vitest = 'node_modules/vitest/vitest.mjs'
const simulation = 'dist/test/simulation/main.js'
const only = process.argv.slice(2)

const everything = [
  [
    {
      name: 'types',
      command: [node, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--noEmit'],
      minutes: 3,
    },
    { name: 'lint', command: [node, 'node_modules/eslint/bin/eslint.js', '.', '--max-warnings=0'], minutes: 4 },
  ],
  [
    { name: 'format', command: [node, 'node_modules/prettier/bin/prettier.cjs', '--check', '.'], minutes: 2 },
    // Fetches what is missing, so that no test waits for it, and says so when there is no way.
    { name: 'servers of the tests', command: [node, vitest, 'run', 'test/servers/obtain-server.test.ts'], minutes: 5 },
  ],
  { name: 'tests', command: [node, vitest, 'run'], minutes: 9 },
  // A short run of the simulation; `npm run simulate -- --seeds N` is the long one.
  { name: 'simulation', command: [node, simulation, '--seeds', '16'], minutes: 3 },
  { name: 'simulation catches mutants', command: [node, simulation, '--mutants'], minutes: 6 },
]

await runSteps(
  only.length === 0 ? everything : [{ name: 'tests', command: [node, vitest, 'run', ...only], minutes: 10 }],
)
