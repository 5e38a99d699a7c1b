/** What `--allow` says: `read:weixin,refresh:weixin,gateway:x,admin`. */
import { usage } from './fault.ts'

export type Grants = {
  readonly read: readonly string[]
  readonly refresh: readonly string[]
  readonly gateway: readonly string[]
  readonly admin: boolean
}

const scopes = ['read', 'refresh', 'gateway'] as const
const glob = /^[A-Za-z0-9_*][A-Za-z0-9_.:@/*-]{0,127}$/

/** Reads grants, separated by commas or spaces; a scope without a name is for every source. */
export function readGrants(text: string): Grants {
  const lists = { read: new Set<string>(), refresh: new Set<string>(), gateway: new Set<string>() }
  let admin = false
  for (const part of text.split(/[\s,]+/).filter((one) => one !== '')) {
    const colon = part.indexOf(':')
    const [word, name] = colon === -1 ? [part, '*'] : [part.slice(0, colon), part.slice(colon + 1)]
    const scope = scopes.find((one) => one === word)
    if (part === 'admin') admin = true
    else if (scope !== undefined && glob.test(name)) lists[scope].add(name)
    else {
      throw usage(
        { en: `--allow does not know "${part}"`, zh: `--allow 无法识别 "${part}"` },
        {
          en: 'It takes read, refresh or gateway, each with :NAME or for every source, and admin.',
          zh: '可用 read、refresh、gateway（可加 :名称，不加则为全部来源）以及 admin。',
        },
      )
    }
  }
  const grants = { read: [...lists.read], refresh: [...lists.refresh], gateway: [...lists.gateway], admin }
  if (!admin && scopes.every((scope) => grants[scope].length === 0)) {
    throw usage({ en: '--allow is empty', zh: '--allow 为空' })
  }
  return grants
}
