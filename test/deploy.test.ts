/** The set-ups in deploy/ are true: they fit the program, each other, and the servers that they start. */
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { commands } from '../src/cli/commands.ts'
import { loadConfig, type Loaded } from '../src/config/load-config.ts'
import { readRealFile, type ReadFile } from '../src/config/read-file.ts'
import { routes } from '../src/http/routes.ts'
import { parseSource } from '../src/providers/catalogue.ts'
import { serviceOf, sampleEnvironment, type Service } from './deploy/compose.ts'
import { unitOf } from './deploy/unit.ts'

const root = join(import.meta.dirname, '..')
const deploy = join(root, 'deploy')
const text = (path: string): string => readFileSync(join(deploy, path), 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'zhongkong-deploy-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const setUps = ['single', 'redis', 'postgres', 'sentinel'] as const
const shared = ['redis', 'postgres', 'sentinel'] as const
/** What the server waits for at most when it ends, in seconds. */
const drainSeconds = 10
const port = 8888
const entry = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { bin: { zhongkong: string } }).bin
  .zhongkong

/** Loads a configuration as a node does that has this environment and no other. */
async function load(path: string, environment: Readonly<Record<string, string>>): Promise<Loaded> {
  const readFile: ReadFile = async (file, bytesMax) => {
    // Whoever tries the set-up in this clone has one, and it must change nothing here.
    if (file.endsWith('.env')) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
    return await readRealFile(file, bytesMax)
  }
  return await loadConfig({ path, environment, parseSource, readFile })
}

const isServed = (path: string): boolean => routes.some((route) => route.method === 'GET' && route.path === path)

describe('every YAML file', () => {
  const files = readdirSync(deploy, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.yaml'))
  it.each(files)('%s parses, and nothing in it is doubtful', (file) => {
    for (const document of parseAllDocuments(text(file), { merge: true })) {
      expect(document.errors).toEqual([])
      expect(document.warnings).toEqual([])
    }
  })
})

describe.each(setUps)('compose/%s.yaml', (name) => {
  const service = (which = 'zhongkong'): Service => serviceOf(join(deploy, 'compose'), `${name}.yaml`, which)

  it('gives the node a configuration without a fault, and without a warning', async () => {
    const { volumes, environment } = service()
    const mounted = volumes.find((volume) => volume.includes('/etc/zhongkong/zhongkong.yaml'))
    expect(mounted).toBe('./config.yaml:/etc/zhongkong/zhongkong.yaml:ro')
    const { config, issues } = await load(join(deploy, 'compose', 'config.yaml'), environment)
    expect(issues).toEqual([])
    expect(config?.server.listen).toBe(`0.0.0.0:${port}`)
    if (name === 'single') expect(volumes).toContain('data:/data')
    else expect(config?.store).toMatch(/^(redis|postgres)/)
  })

  it('closes the container, and lets the node finish', () => {
    const node = service()
    expect(node).toMatchObject({ read_only: true, cap_drop: ['ALL'], restart: 'unless-stopped' })
    expect(Number.parseInt(String(node.stop_grace_period))).toBeGreaterThan(drainSeconds)
  })

  it('uses variables that .env.example has, images of a named version, and files that are there', () => {
    const source = text(`compose/${name}.yaml`) + text('compose/node.yaml')
    const used = [...source.matchAll(/(?<!\$)\$\{(\w+)/g)].map((match) => match[1])
    expect(Object.keys(sampleEnvironment(join(deploy, 'compose')))).toEqual(expect.arrayContaining(used))
    for (const [, image = ''] of source.matchAll(/image: (\S+)/g)) expect(image).toMatch(/^zhongkong$|:\d/)
    for (const [, file = ''] of source.matchAll(/- (\.\/[\w.-]+):/g))
      expect(existsSync(join(deploy, 'compose', file))).toBe(true)
    expect(existsSync(join(deploy, 'compose', '../..', 'deploy/Dockerfile'))).toBe(true)
  })

  it('is understood by docker compose, where there is one', () => {
    if (spawnSync('docker', ['compose', 'version']).status !== 0) return
    const path = join(folder, 'sample.env')
    const lines = Object.entries(sampleEnvironment(join(deploy, 'compose'))).map((pair) => pair.join('='))
    writeFileSync(path, lines.join('\n'))
    const args = ['compose', '--env-file', path, '-f', join(deploy, 'compose', `${name}.yaml`), 'config', '-q']
    expect(spawnSync('docker', args, { encoding: 'utf8' })).toMatchObject({ status: 0 })
  })
})

describe.each(shared)('the proxy of compose/%s.yaml', (name) => {
  it('knows as many nodes as there are, asks whether they are ready, and waits longer than callers do', () => {
    const node = serviceOf(join(deploy, 'compose'), `${name}.yaml`, 'zhongkong')
    const proxy = text('compose/haproxy.cfg')
    const known = [...proxy.matchAll(/server-template node (\d+) (\w+):(\d+) check/g)]
    for (const [, count, host, at] of known) {
      expect([Number(count), host, Number(at)]).toEqual([node.deploy?.replicas, 'zhongkong', port])
    }
    const asked = [...proxy.matchAll(/httpchk GET (\S+)/g)].map((match) => match[1]!)
    // A store that is away makes no node ready; then whoever answers serves what it remembers.
    expect(asked).toEqual(['/readyz', '/healthz'])
    expect(asked.every(isServed)).toBe(true)
    expect(known).toHaveLength(asked.length)
    for (const [, seconds] of proxy.matchAll(/timeout (?:client|server) (\d+)s/g))
      expect(Number(seconds)).toBeGreaterThan(60)
    expect(serviceOf(join(deploy, 'compose'), `${name}.yaml`, 'proxy').volumes).toEqual([
      './haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro',
    ])
  })
})

describe('the image', () => {
  const dockerfile = text('Dockerfile')

  it('is made of two stages of a named version, runs as nobody special, and begins with the program', () => {
    expect([...dockerfile.matchAll(/^FROM (\S+)/gm)].map((match) => match[1])).toEqual([
      'node:24-alpine',
      'node:24-alpine',
    ])
    expect(dockerfile).toMatch(/^USER node$/m)
    expect(dockerfile).toContain(`ENTRYPOINT ["node", "/app/${entry}"]`)
    expect(dockerfile).toContain(`EXPOSE ${port}`)
    expect(dockerfile).not.toMatch(/^(ARG|ENV).*(SECRET|PASSWORD|KEY)/m)
  })

  it('copies what is there, and only what its .dockerignore lets through', () => {
    const allowed = text('Dockerfile.dockerignore')
      .split('\n')
      .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []))
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) => match[1]!.split(' '))
    expect(copied.length).toBeGreaterThan(8)
    for (const path of copied) {
      expect(existsSync(join(root, path)), path).toBe(true)
      expect(allowed).toContain(path)
    }
  })

  it('has the drivers of all stores, and nothing that only tests need', () => {
    copyFileSync(join(root, 'package.json'), join(folder, 'package.json'))
    spawnSync(process.execPath, [join(deploy, 'runtime-packages.mjs')], { cwd: folder })
    const made = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, object>
    expect(Object.keys(made.dependencies!)).toEqual(expect.arrayContaining(['pg', 'mysql2', '@redis/client', 'hono']))
    expect(made).not.toHaveProperty('devDependencies')
  })

  it('is healthy when the server answers, ready or not, and not when it does not', async () => {
    expect(text('healthcheck.mjs')).toContain('/healthz')
    expect(isServed(/127\.0\.0\.1:8888(\/\w+)/.exec(text('healthcheck.mjs'))?.[1] ?? '')).toBe(true)
    const server = createServer((request, response) => response.writeHead(request.url === '/good' ? 200 : 503).end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port: at } = server.address() as { port: number }
    const exitOf = async (url: string): Promise<number | null> =>
      await new Promise((resolve) => {
        const env = { PATH: process.env.PATH, HEALTH_URL: url }
        spawn(process.execPath, [join(deploy, 'healthcheck.mjs')], { env, stdio: 'ignore' }).once('close', resolve)
      })
    expect(await Promise.all(['/good', '/bad'].map((path) => exitOf(`http://127.0.0.1:${at}${path}`)))).toEqual([0, 1])
    await new Promise((resolve) => server.close(resolve))
    expect(await exitOf(`http://127.0.0.1:${at}/good`)).toBe(1)
  })
})

describe('systemd', () => {
  const units = readdirSync(join(deploy, 'systemd')).filter((file) => /\.(service|timer)$/.test(file))

  it.each(units.filter((unit) => unit.endsWith('.service')))('%s runs a command of ours, closed in', (file) => {
    const { Service } = unitOf(text(`systemd/${file}`))
    const [program, command = ''] = Service!.ExecStart![0]!.replace('/usr/bin/env node /opt/zhongkong/', '').split(' ')
    expect(program).toBe(entry)
    expect(commands.map((one) => one.name)).toContain(command)
    expect(Service).toMatchObject({
      User: ['zhongkong'],
      ProtectSystem: ['strict'],
      NoNewPrivileges: ['yes'],
      CapabilityBoundingSet: [''],
      UMask: ['0077'],
      StateDirectoryMode: ['0700'],
    })
    // Node.js compiles while it runs; and /proc/sys must be there, by which processes on one SQLite file agree on the time.
    expect(Service).not.toHaveProperty('MemoryDenyWriteExecute')
    expect(Service).not.toHaveProperty('ProcSubset')
    if (command !== 'serve') return
    expect(Number(Service!.TimeoutStopSec)).toBeGreaterThan(drainSeconds)
    expect(Service).toMatchObject({
      Restart: ['on-failure'],
      RestartPreventExitStatus: ['2'],
      ExecReload: ['/bin/kill -HUP $MAINPID'],
    })
  })

  it('one node and one of several differ in nothing but the address', () => {
    const plain = unitOf(text('systemd/zhongkong.service'))
    const several = unitOf(text('systemd/zhongkong@.service'))
    expect(several.Service!.ExecStart).toEqual([`${plain.Service!.ExecStart![0]} --listen 127.0.0.1:%i`])
    expect({ ...several.Service, ExecStart: [] }).toEqual({ ...plain.Service, ExecStart: [] })
  })

  it.each(units.filter((unit) => unit.endsWith('.service')))(
    '%s hands over the secrets that the configuration reads',
    async (file) => {
      const credentials = unitOf(text(`systemd/${file}`)).Service!.LoadCredential!.map((one) => one.split(':')[0]!)
      const key = '6b0c1d'.repeat(10) + '0f1e'
      for (const name of credentials) writeFileSync(join(folder, name), key, { mode: 0o400 })
      const { config, issues } = await load(join(deploy, 'systemd', 'config.yaml'), { CREDENTIALS_DIRECTORY: folder })
      expect(issues).toEqual([])
      expect(config?.store).toBe('sqlite:/var/lib/zhongkong/zhongkong.db')
      for (const name of credentials) rmSync(join(folder, name))
      const without = await load(join(deploy, 'systemd', 'config.yaml'), { CREDENTIALS_DIRECTORY: folder })
      expect(without.issues.filter(({ code }) => code === 'secret_file_unreadable')).toHaveLength(credentials.length)
    },
  )

  it('finds nothing wrong with the units, where it is there', () => {
    const paths = units.map((file) => join(deploy, 'systemd', file))
    const { error, stderr } = spawnSync('systemd-analyze', ['verify', ...paths], { encoding: 'utf8' })
    if (error !== undefined) return
    expect(stderr.split('\n').filter((line) => line.includes('deploy/systemd'))).toEqual([])
  })
})

describe('Kubernetes', () => {
  type Probe = { httpGet: { path: string; port: string } }
  type Pod = {
    terminationGracePeriodSeconds: number
    containers: [
      {
        ports: object[]
        readinessProbe: Probe
        livenessProbe: Probe
        startupProbe: Probe
        lifecycle: { preStop: { exec: { command: string[] } } }
        securityContext: object
      },
    ]
  }
  type Kind = {
    kind: string
    data?: Record<string, string>
    spec?: { replicas?: number; minAvailable?: number; template: { spec: Pod } }
  }
  const source = text('kubernetes.yaml')
  const parts = parseAllDocuments(source).map((document) => document.toJS() as Kind)
  const part = (kind: string): Kind => parts.find((one) => one.kind === kind)!

  it('has a configuration without a fault for the secrets that its first lines make', async () => {
    const made = [...source.matchAll(/--from-literal=(\w+)/g)].map((match) => match[1]!)
    const path = join(folder, 'kubernetes.yaml')
    writeFileSync(path, part('ConfigMap').data!['zhongkong.yaml']!)
    const samples: Record<string, string> = {
      ...sampleEnvironment(join(deploy, 'compose')),
      ZHONGKONG_STORE: 'postgres://zhongkong:hunter2@db.lan/zhongkong',
    }
    const { issues } = await load(path, Object.fromEntries(made.map((name) => [name, samples[name]!])))
    expect(issues).toEqual([])
  })

  it('asks at paths that are served, at the port that is listened on, and waits for the end', () => {
    const pod = part('Deployment').spec!.template.spec
    const [container] = pod.containers
    expect(container.ports).toEqual([{ name: 'http', containerPort: port }])
    expect(isServed(container.startupProbe.httpGet.path)).toBe(true)
    expect(container.livenessProbe.httpGet.path).toBe('/healthz')
    expect(container.readinessProbe.httpGet.path).toBe('/healthz')
    const pause = Number(/(\d+)\)$/.exec(container.lifecycle.preStop.exec.command.at(-1) ?? '')?.[1]) / 1_000
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds + pause)
    expect(part('PodDisruptionBudget').spec!.minAvailable).toBeLessThan(part('Deployment').spec!.replicas!)
    expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true })
  })
})
