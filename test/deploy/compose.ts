/** A service of a compose file as a container has it: what it extends taken in, variables put in. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

export type Service = {
  readonly environment: Readonly<Record<string, string>>
  readonly volumes: readonly string[]
  readonly command?: readonly string[]
  readonly deploy?: { readonly replicas: number }
  readonly [key: string]: unknown
}

type Written = Partial<Service> & { readonly extends?: { readonly file: string; readonly service: string } }

const samples: Readonly<Record<string, string>> = {
  WEIXIN_APPID: 'wx0123456789abcdef',
  WEIXIN_SECRET: 'of-the-account',
  ZHONGKONG_ENCRYPTION_KEY: '6b0c1d'.repeat(10) + '0f1e',
  SHOP_KEY_HASH: `sha256:${'0a1b'.repeat(16)}`,
  STORE_PASSWORD: '5d0e'.repeat(6),
  PUBLISH: '127.0.0.1:8888',
}

/** A value for each variable of `.env.example`. */
export function sampleEnvironment(folder: string): Readonly<Record<string, string>> {
  const names = [...readFileSync(join(folder, '.env.example'), 'utf8').matchAll(/^(\w+)=/gm)].map(
    (match) => match[1] ?? '',
  )
  return Object.fromEntries(names.map((name) => [name, samples[name] ?? '']))
}

export function serviceOf(folder: string, file: string, name: string): Service {
  const environment = sampleEnvironment(folder)
  const read = (from: string, service: string): Written => {
    const source = readFileSync(join(folder, from), 'utf8')
    const { services } = parse(source, { merge: true }) as { services: Readonly<Record<string, Written>> }
    return filled(services[service] ?? {}, environment) as Written
  }
  const own = read(file, name)
  const base = own.extends === undefined ? {} : read(own.extends.file, own.extends.service)
  return {
    ...base,
    ...own,
    environment: { ...base.environment, ...own.environment },
    volumes: [...(base.volumes ?? []), ...(own.volumes ?? [])],
  }
}

function filled(value: unknown, environment: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$\$|\$\{(\w+)(?::[-?][^}]*)?\}/g, (whole, name: string | undefined) =>
      name === undefined ? '$' : (environment[name] ?? whole),
    )
  }
  if (Array.isArray(value)) return value.map((one) => filled(one, environment))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, filled(one, environment)]))
}
