/** Which values of a configuration are secrets, told by where they stand. */
import type { Path } from './problem.ts'

const alwaysSecret =
  /(secret|passw(or)?d|private_?key|aes_?key|api_?key|app_?key|access_?key|permanent_?code|refresh_?token|credentials?|authorization)$/i
/** At the top of a source these name something else (a JSON pointer, say); further inside they carry secrets. */
const secretInside = /(token|key|ticket|sign|signature|assertion|auth|pwd|cookie)$/i
const passwordInUrl = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*:[^/@\s]+@/i

/** Names of settings that hold no secret though they end like one. */
const harmless = new Set(['encryption_key_id', 'appkey_name', 'public_key'])

/** Whether the value at this path must be kept from other eyes. */
export function isSecretPath(path: Path): boolean {
  const name = nameAt(path)
  if (name === undefined || harmless.has(name)) return false
  if (path[0] === 'encryption_key') return true
  if (path[0] === 'compat' || path[0] === 'sinks') return name === 'secret'
  if (path[0] !== 'sources' || path.length < 3) return false
  // DingTalk calls the id of an app so; it stands beside the secret.
  if (path.length === 3 && name === 'appkey') return false
  if (path[2] === 'values' && path.length > 3) return true
  return looksSecret(name) || (path.length > 3 && secretInside.test(name))
}

/** Whether a parameter of this name usually carries a secret. */
export function looksSecret(name: string): boolean {
  return alwaysSecret.test(name)
}

/** Whether a parameter of an upstream's request usually carries a secret: there, `key` and `token` do. */
export function looksSecretInRequest(name: string): boolean {
  return looksSecret(name) || secretInside.test(name)
}

/** A URL with a password before its host. */
export function hasPasswordInUrl(text: string): boolean {
  return passwordInUrl.test(text)
}

/** A URL of an upstream with a secret among its parameters. */
export function hasSecretInQuery(text: string): boolean {
  const query = /^https?:\/\/[^?#]*\?([^#]*)/i.exec(text)?.[1] ?? ''
  return query.split('&').some((pair) => {
    const [name = '', ...value] = pair.split('=')
    return looksSecretInRequest(name) && value.join('=').replace(/\{\{[^]*?\}\}/g, '') !== ''
  })
}

/** Whether `file:PATH` is understood at this path. */
export function mayBeFile(path: Path): boolean {
  const isSinkUrl = path[0] === 'sinks' && path.at(-1) === 'url'
  return (path[0] === 'sources' && path.length > 2) || path[0] === 'store' || isSinkUrl || isSecretPath(path)
}

function nameAt(path: Path): string | undefined {
  const name = path.findLast((segment) => typeof segment === 'string')
  return typeof name === 'string' ? name : undefined
}
