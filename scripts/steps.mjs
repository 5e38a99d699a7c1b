// Runs programs one after the other, or a few at a time, each under a heading and a time limit, and sums up. Nothing is left running:
// a step has a process group of its own, which is ended with it.
import { spawn } from 'node:child_process'

const killMs = 5_000
const flushMs = 2_000
/** How much of the output of a step that failed is shown once more at the end, in lines. */
const tailLines = 100

/**
 * Runs `steps` (`{ name, command: [program, …args], minutes }`, or an array of those that run at a time), all of them
 * whatever fails, and ends the process with 0 only if every one ended with 0. The last line says how many passed and
 * failed.
 */
export async function runSteps(steps) {
  const results = []
  for (const group of steps.map((step) => [step].flat())) {
    const title = group.map(({ name }) => name).join(', ')
    console.log(`\n── ${title} ${'─'.repeat(Math.max(3, 76 - title.length))}`)
    const ended = group.map(async (step) => {
      const startedAt = performance.now()
      const tail = []
      const fault = await runStep(step, tail)
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
      if (fault !== null) console.log(`✗ ${step.name}: ${fault}`)
      return { name: step.name, fault, seconds, tail }
    })
    results.push(...(await Promise.all(ended)))
  }
  const failed = results.filter((result) => result.fault !== null)
  // Whoever keeps only the end of this output finds there what went wrong.
  for (const { name, tail } of failed) {
    console.log(`\n── the end of what was said by: ${name} ──\n${tail.join('\n')}`)
  }
  console.log(`\n── summary ${'─'.repeat(69)}`)
  for (const { name, fault, seconds } of results) {
    console.log(
      `${fault === null ? '✓' : '✗'} ${name.padEnd(30)} ${seconds.padStart(7)} s${fault === null ? '' : `  ${fault}`}`,
    )
  }
  console.log(`${results.length - failed.length} passed, ${failed.length} failed`)
  process.exit(failed.length === 0 ? 0 : 1)
}

/** Null, or why the step failed; `tail` receives the last lines that it wrote. */
async function runStep({ command: [program, ...args], minutes }, tail) {
  const env = process.stdout.isTTY ? { FORCE_COLOR: '1', ...process.env } : process.env
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env })
  const closed = new Promise((resolve) => child.once('close', resolve))
  passOn(child.stdout, process.stdout, tail)
  passOn(child.stderr, process.stderr, tail)
  const end = (signal) => {
    try {
      process.kill(-child.pid, signal)
    } catch {
      // The group is gone already.
    }
  }
  const onSignal = () => {
    end('SIGKILL')
    process.exit(130)
  }
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  // npm runs us through a shell, and told to end it ends only the shell.
  const parent = process.ppid
  const orphaned = setInterval(() => process.ppid !== parent && onSignal(), 500)
  let isLate = false
  const timers = []
  const limit = setTimeout(() => {
    isLate = true
    end('SIGTERM')
    timers.push(setTimeout(() => end('SIGKILL'), killMs))
  }, minutes * 60_000)
  timers.push(limit)
  const fault = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => {
      if (isLate) resolve(`not done within ${minutes} minutes`)
      else if (signal !== null) resolve(`ended by ${signal}`)
      else resolve(code === 0 ? null : `exit code ${code}`)
    })
  })
  for (const timer of timers) clearTimeout(timer)
  clearInterval(orphaned)
  process.off('SIGINT', onSignal)
  process.off('SIGTERM', onSignal)
  if (child.pid !== undefined) end('SIGKILL')
  // Who left the group may still hold the pipe.
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, flushMs).unref())])
  return fault
}

function passOn(from, to, tail) {
  const decoder = new TextDecoder()
  let unfinished = ''
  from.on('data', (bytes) => {
    to.write(bytes)
    const lines = (unfinished + decoder.decode(bytes, { stream: true })).split('\n')
    unfinished = lines.pop()
    tail.push(...lines)
    tail.splice(0, Math.max(0, tail.length - tailLines))
  })
  from.on('end', () => unfinished !== '' && tail.push(unfinished))
}
