// Makes a fresh clone runnable, and costs nothing when nothing changed: checks the Node version, installs from the lock
// when the installed tree differs from it, and with `--build` compiles when a source changed.
// Plain old JavaScript without dependencies: it must at least be understood by a Node that is too old for the rest.
import childProcess from 'child_process'
import crypto from 'crypto'
import fs from 'fs'
import os from 'os'
import path from 'path'
import url from 'url'

const root = path.resolve(path.dirname(url.fileURLToPath(import.meta.url)), '..')
const lockFile = path.join(root, 'package-lock.json')
const installStamp = path.join(root, 'node_modules', '.zhongkong-stamp')
const buildStamp = path.join(root, 'dist', '.zhongkong-stamp')
const sourceFolders = ['src', 'bench', 'test']
const lockMsMax = 10 * 60 * 1000

function say(text) {
  process.stderr.write(text + '\n')
}

function fail(lines) {
  say('')
  lines.forEach((line) => say(line))
  say('')
  process.exit(1)
}

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    throw error
  }
}

function digest(text) {
  return crypto.createHash('sha256').update(text).digest('hex')
}

// ── Node ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function checkNode() {
  const wanted = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')).engines.node.replace('>=', '')
  const numbers = (version) => version.split('.').map(Number)
  const [major, minor] = numbers(process.versions.node)
  const [wantedMajor, wantedMinor] = numbers(wanted)
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return
  fail([
    'zhongkong needs Node.js ' + wanted + ' or newer; this is ' + process.versions.node + '.',
    'Install a newer one from https://nodejs.org (or: nvm install 24), then run the same command again.',
    '',
    'zhongkong 需要 Node.js ' + wanted + ' 或更新的版本，当前版本为 ' + process.versions.node + '。',
    '请从 https://nodejs.org 安装新版本（或执行 nvm install 24），然后重新运行同一命令。',
  ])
}

// ── Install ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function installKey() {
  return digest([fs.readFileSync(lockFile, 'utf8'), process.platform, process.arch].join('\n'))
}

/** True when npm's own record of what it installed holds every package of the lock, whoever ran npm. */
function treeMatchesLock() {
  const record = readText(path.join(root, 'node_modules', '.package-lock.json'))
  if (record === null) return false
  const installed = JSON.parse(record).packages
  const wanted = JSON.parse(fs.readFileSync(lockFile, 'utf8')).packages
  return Object.keys(wanted).every((name) => {
    if (name === '') return true
    if (installed[name] === undefined) return wanted[name].optional === true
    return installed[name].version === wanted[name].version
  })
}

function isInstalled() {
  return readText(installStamp) === installKey()
}

function install() {
  if (isInstalled()) return
  if (!treeMatchesLock()) {
    say('Installing the packages of package-lock.json … 正在安装依赖 …')
    // `--include=dev`: the compiler is a development dependency, also where NODE_ENV is production.
    run(npmCommand().concat(['ci', '--loglevel=error', '--include=dev']), [
      'The packages could not be installed. Is the npm registry reachable? Try: npm ci',
      '依赖安装失败。请检查能否访问 npm 镜像源，可手动执行：npm ci',
    ])
  }
  fs.writeFileSync(installStamp, installKey())
}

function npmCommand() {
  const script = process.env.npm_execpath
  if (script && /npm-cli\.c?js$/.test(script)) return [process.execPath, script]
  return ['npm']
}

// ── Build ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function filesBelow(folder, keep) {
  let entries
  try {
    entries = fs.readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
  const files = []
  for (const entry of entries) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) files.push(...filesBelow(file, keep))
    else if (keep(file)) files.push(file)
  }
  return files.sort()
}

function buildKey() {
  const isBuilt = (file) => file.endsWith('.ts') && !file.endsWith('.test.ts')
  const sources = sourceFolders
    .map((folder) => filesBelow(path.join(root, folder), isBuilt))
    .reduce((all, some) => all.concat(some), [])
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) => path.join(root, name))
  const hash = crypto.createHash('sha256')
  sources.concat(settings).forEach((file) => {
    hash.update(path.relative(root, file) + '\0')
    hash.update(fs.readFileSync(file))
    hash.update('\0')
  })
  return hash.digest('hex')
}

function isBuilt() {
  return readText(buildStamp) === buildKey()
}

function build() {
  if (isBuilt()) return
  say('Building … 正在编译 …')
  const key = buildKey()
  fs.rmSync(buildStamp, { force: true })
  removeLeftovers()
  run(
    [process.execPath, path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'],
    ['The build failed: see the messages of the compiler above.', '编译失败：请查看上面的编译器信息。'],
  )
  // npm makes the bin executable when it installs; a rebuilt file must stay so.
  fs.chmodSync(path.join(root, 'dist', 'src', 'cli', 'main.js'), 0o755)
  fs.writeFileSync(buildStamp, key)
}

/** Compiled files whose source is gone would still be found by imports and by tests. */
function removeLeftovers() {
  const dist = path.join(root, 'dist')
  filesBelow(dist, (file) => /\.(js|js\.map|d\.ts)$/.test(file)).forEach((file) => {
    const source = path.join(root, path.relative(dist, file).replace(/\.(js|js\.map|d\.ts)$/, '.ts'))
    if (!fs.existsSync(source)) fs.rmSync(file)
  })
}

function run(command, onFailure) {
  const shell = process.platform === 'win32' && command[0] === 'npm'
  const ended = childProcess.spawnSync(command[0], command.slice(1), { cwd: root, stdio: ['ignore', 2, 2], shell })
  if (ended.status === 0) return
  fail((ended.error ? [String(ended.error.message)] : []).concat(onFailure))
}

// ── One at a time ───────────────────────────────────────────────────────────────────────────────────────────────────

const lock = path.join(os.tmpdir(), 'zhongkong-ensure-' + digest(fs.realpathSync(root)).slice(0, 16))
const owner = path.join(lock, 'owner')

/** Runs `work` while no other process of this machine does the same for this clone. */
function alone(work) {
  const endsAt = Date.now() + lockMsMax
  let told = false
  while (!takeLock()) {
    if (Date.now() > endsAt) fail(['Another set-up of this clone does not end. Remove ' + lock + ' and try again.'])
    if (!told) say('Waiting for another set-up of this clone … 正在等待另一个安装进程 …')
    told = true
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  }
  const release = () => fs.rmSync(lock, { recursive: true, force: true })
  process.on('exit', release)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))
  work()
  release()
}

function takeLock() {
  try {
    fs.mkdirSync(lock, { mode: 0o700 })
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (isAbandoned()) fs.rmSync(lock, { recursive: true, force: true })
    return false
  }
  fs.writeFileSync(owner, String(process.pid))
  return true
}

function isAbandoned() {
  const pid = Number(readText(owner))
  if (!pid) {
    // The owner writes its name right after making the folder; a nameless folder of some age lost its owner in between.
    const made = fs.statSync(lock, { throwIfNoEntry: false })
    return made !== undefined && Date.now() - made.mtimeMs > 5000
  }
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

// ── Main ────────────────────────────────────────────────────────────────────────────────────────────────────────────

checkNode()
const wantsBuild = process.argv.includes('--build')
if (!isInstalled() || (wantsBuild && !isBuilt())) {
  alone(() => {
    install()
    if (wantsBuild) build()
  })
}
