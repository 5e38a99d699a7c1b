/**
 * Builds each mutant from the compiled program and one changed source, and lets the simulation look for it. What was
 * caught under a plan of its own must be clean without the mutant, or the plan was caught and not the mutant.
 */
import { spawn } from 'node:child_process'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mutants, type Change, type Mutant } from './mutants.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
const workshop = join(root, 'node_modules', '.cache', 'zhongkong-mutants')
const hoursUsual = 24
const seedsUsual = 40
/** Seeds of a mutant's own plan that are run without the mutant, and for how many virtual hours. */
const soundSeeds = 3
const soundHours = 12
/** A mutant that neither ends nor is caught in this time is a survivor, in milliseconds. */
const patienceMs = 300_000

type Verdict = { readonly mutant: Mutant; readonly caught: boolean; readonly by: string; readonly seconds: number }

/** Exit code 0 only when every mutant was caught, and the unchanged program was not. */
export async function runMutants(only: string | undefined, workers = availableParallelism()): Promise<number> {
  const chosen = only === undefined ? mutants : mutants.filter(({ id }) => only.split(',').includes(id))
  const queue = [...chosen]
  const verdicts: Verdict[] = []
  await rm(workshop, { recursive: true, force: true })
  const worker = async (): Promise<void> => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const verdict = await judge(mutant)
      verdicts.push(verdict)
      const word = verdict.caught ? 'caught  ' : 'SURVIVED'
      console.log(`${word} ${mutant.id.padEnd(5)} ${verdict.seconds.toFixed(0).padStart(4)} s  ${mutant.title}`)
      console.log(`               ${verdict.by}`)
    }
  }
  await Promise.all(Array.from({ length: workers }, worker))
  await rm(workshop, { recursive: true, force: true })
  const survivors = verdicts.filter(({ caught }) => !caught)
  console.log(`${verdicts.length - survivors.length} of ${verdicts.length} mutants caught`)
  return survivors.length === 0 ? 0 : 1
}

async function judge(mutant: Mutant): Promise<Verdict> {
  const startedAt = performance.now()
  const home = join(workshop, mutant.id)
  await mkdir(home, { recursive: true })
  await writeFile(join(home, 'package.json'), '{ "type": "module", "version": "0.0.0" }\n')
  await cp(join(root, 'dist'), join(home, 'dist'), { recursive: true })
  for (const change of [mutant, ...(mutant.also ?? [])]) {
    await writeFile(join(home, 'dist', change.file.replace(/\.ts$/, '.js')), await changed(change, mutant.id))
  }
  const { code, output } = await run(join(home, 'dist', 'test', 'simulation', 'main.js'), mutant)
  const by = violationIn(output)
  const sound = mutant.rates === undefined && mutant.ttl === undefined ? null : await withoutMutant(mutant)
  const seconds = (performance.now() - startedAt) / 1_000
  if (sound !== null) return { mutant, caught: false, by: `without the mutant: ${sound}`, seconds }
  return { mutant, caught: code === 1 && by !== null, by: by ?? output.trim().split('\n').at(-1) ?? '', seconds }
}

/** What the same plan finds in the unchanged program; null for nothing. */
async function withoutMutant(mutant: Mutant): Promise<string | null> {
  const hours = Math.min(mutant.hours ?? hoursUsual, soundHours)
  const main = join(root, 'dist', 'test', 'simulation', 'main.js')
  const { code, output } = await run(main, { ...mutant, seeds: soundSeeds, hours })
  return code === 0 ? null : (violationIn(output) ?? `exit code ${String(code)}`)
}

function violationIn(output: string): string | null {
  return /^VIOLATION.*$/m.exec(output)?.[0] ?? /a worker ended.*$/m.exec(output)?.[0] ?? null
}

/** A plan as the command line takes it. */
function planIn({ faults, rates }: Mutant): string {
  const written = faults.map((kind) => (rates?.[kind] === undefined ? kind : `${kind}=${rates[kind]}`))
  return written.join(',') || 'none'
}

async function changed({ file, find, replace }: Change, id: string): Promise<string> {
  const { default: ts } = await import('typescript')
  const source = await readFile(join(root, file), 'utf8')
  if (source.split(find).length !== 2) {
    throw new Error(`${id}: its text does not stand exactly once in ${file}; the mutant is out of date`)
  }
  const text = source.replace(find, () => replace)
  const made = ts.transpileModule(text, {
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  })
  if ((made.diagnostics ?? []).length > 0) throw new Error(`${id}: the mutant is no valid program`)
  return made.outputText
}

function run(main: string, mutant: Mutant): Promise<{ code: number | null; output: string }> {
  const args = ['--seeds', String(mutant.seeds ?? seedsUsual), '--hours', String(mutant.hours ?? hoursUsual)]
  args.push(
    '--nodes',
    String(mutant.nodes ?? 3),
    '--from',
    String(mutant.from ?? 1),
    '--workers',
    '1',
    '--quiet',
    '--fail-fast',
    '--faults',
    planIn(mutant),
  )
  if (mutant.ttl !== undefined) args.push('--ttl', String(mutant.ttl))
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--unhandled-rejections=strict', main, ...args], { stdio: 'pipe' })
    let output = ''
    const take = (chunk: Buffer): void => {
      output += chunk.toString()
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    const patience = setTimeout(() => child.kill('SIGKILL'), patienceMs)
    child.once('close', (code) => {
      clearTimeout(patience)
      resolve({ code, output })
    })
  })
}
