/** Builds each mutant from the compiled program and one changed source, and lets the simulation look for it. */
import { spawn } from 'node:child_process'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mutants, type Mutant } from './mutants.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
const workshop = join(root, 'node_modules', '.cache', 'zhongkong-mutants')
const hoursUsual = 24
const seedsUsual = 40
/** A mutant that neither ends nor is caught in this time is a survivor, in milliseconds. */
const patienceMs = 300_000

type Verdict = { readonly mutant: Mutant; readonly caught: boolean; readonly by: string; readonly seconds: number }

/** Exit code 0 only when every mutant was caught, and the unchanged program was not. */
export async function runMutants(only: string | undefined): Promise<number> {
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
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
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
  await writeFile(join(home, 'dist', mutant.file.replace(/\.ts$/, '.js')), await mutated(mutant))
  const { code, output } = await run(join(home, 'dist', 'test', 'simulation', 'main.js'), mutant)
  const seconds = (performance.now() - startedAt) / 1_000
  const line = /^VIOLATION.*$/m.exec(output)?.[0]
  const ended = /a worker ended.*$/m.exec(output)?.[0]
  const caught = code === 1 && (line !== undefined || ended !== undefined)
  return { mutant, caught, by: line ?? ended ?? output.trim().split('\n').at(-1) ?? '', seconds }
}

async function mutated(mutant: Mutant): Promise<string> {
  const { default: ts } = await import('typescript')
  const source = await readFile(join(root, mutant.file), 'utf8')
  if (source.split(mutant.find).length !== 2) {
    throw new Error(`${mutant.id}: its text does not stand exactly once in ${mutant.file}; the mutant is out of date`)
  }
  const text = source.replace(mutant.find, () => mutant.replace)
  const made = ts.transpileModule(text, {
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  })
  if ((made.diagnostics ?? []).length > 0) throw new Error(`${mutant.id}: the mutant is no valid program`)
  return made.outputText
}

function run(main: string, mutant: Mutant): Promise<{ code: number | null; output: string }> {
  const args = ['--seeds', String(mutant.seeds ?? seedsUsual), '--hours', String(mutant.hours ?? hoursUsual)]
  args.push(
    '--nodes',
    String(mutant.nodes ?? 3),
    '--workers',
    '1',
    '--quiet',
    '--fail-fast',
    '--faults',
    mutant.faults.join(',') || 'none',
  )
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
