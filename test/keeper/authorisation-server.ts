/** An upstream with refresh tokens that rotate: each may be used once, and again for as long as its grace lasts. */
import type { Attempt } from '../../src/model/failure.ts'
import type { Source } from '../../src/model/source.ts'
import type { Call } from '../../src/providers/provider.ts'
import { sampleSource, second, type Changed } from '../model/samples.ts'
import { hour, type Asked } from './stage.ts'

export const missing = { code: 'needs_authorization', message: 'nobody has authorised this source' }

/** A source with a refresh token. */
export function rotating(graceMs: number, changed: Changed = {}): Source {
  return sampleSource({
    name: 'oauth',
    reissue: 'independent',
    identity: 'oauth:shop',
    seed: 'refresh-0',
    ...changed,
    semantics: { grant: { rotates: 'always', graceMs, missing }, graceMs: 0, ...changed.semantics },
  })
}

export const invalidGrant: Attempt = {
  outcome: 'rejected',
  class: 'needs-authorization',
  failure: { code: 'upstream_rejected', message: 'invalid_grant' },
}

export class AuthorisationServer {
  /** How often somebody was refused for a grant that is used up. */
  refusals = 0
  issues = 0
  lifetimeMs = hour
  readonly graceMs: number
  #current = 'refresh-0'
  #before = { value: '', until: 0 }

  constructor(graceMs: number) {
    this.graceMs = graceMs
  }

  get current(): string {
    return this.#current
  }

  /** A person authorises: every grant of before is dead. */
  authorise(value: string): void {
    this.#current = value
    this.#before = { value: '', until: 0 }
  }

  readonly answer = (asked: Asked, call: Call): Attempt => {
    const now = asked.at
    if (call.grant === this.#current) {
      this.#before = { value: this.#current, until: now + this.graceMs }
      this.#current = `refresh-${this.issues + 1}`
    } else if (call.grant !== this.#before.value || now > this.#before.until) {
      this.refusals += 1
      return invalidGrant
    }
    this.issues += 1
    const value = `oauth-${this.issues}`
    const grant = { value: this.#current, lifetimeMs: null }
    return { outcome: 'issued', issued: { value, lifetimeMs: this.lifetimeMs, fields: { access_token: value }, grant } }
  }
}

export const leaseMs = 15 * second
