/** What a person grants at the OAuth 2.0 server: the page that consents by itself, codes with PKCE, refresh tokens. */
import { createHash } from 'node:crypto'
import type { AccountOf } from './account.ts'
import type { Knobs } from './knobs.ts'
import { RefreshBook, type RefreshTerms, type Used } from './refresh-book.ts'
import type { AccountState, World } from './world.ts'

type State = AccountState<AccountOf<'oauth2'>>

export type Refused = { readonly error: string; readonly description: string }

export function bookOf(state: AccountState): RefreshBook {
  return (state.refreshes ??= new RefreshBook())
}

/** A refresh token as if somebody had consented by another way; for those who begin with one in their configuration. */
export function granted(world: World, state: AccountState, scope: string | null = null, code?: string): Used {
  return bookOf(state).grant(mint(world), scope, code)
}

/** Where the browser is sent: back with a code or an error; or why it is not sent anywhere. */
export function authorise(world: World, query: URLSearchParams): { readonly location: string } | Refused {
  const state = world.find('oauth2', query.get('client_id'))
  const redirectUri = query.get('redirect_uri') ?? ''
  // Whoever is not known, or wants people sent elsewhere, gets nobody sent.
  if (state === null) return { error: 'invalid_client', description: 'there is no such client' }
  const { redirect_uris: known, scopes, secret, public_key: key } = state.account
  const isFit = /^https?:\/\//.test(redirectUri) && URL.canParse(redirectUri) && (known?.includes(redirectUri) ?? true)
  if (!isFit) return { error: 'invalid_request', description: 'redirect_uri is not registered' }
  const back = (answer: Readonly<Record<string, string>>): { readonly location: string } => {
    const url = new URL(redirectUri)
    const given = query.get('state')
    for (const [name, value] of Object.entries(answer)) url.searchParams.set(name, value)
    if (given !== null) url.searchParams.set('state', given)
    return { location: url.href }
  }
  const challenge = query.get('code_challenge')
  const scope = query.get('scope')
  const isPublic = secret === undefined && key === undefined
  if (query.get('response_type') !== 'code') return back({ error: 'unsupported_response_type' })
  if (challenge === null ? isPublic : query.get('code_challenge_method') !== 'S256') {
    return back({ error: 'invalid_request' })
  }
  if (scope !== null && scopes !== undefined && !scope.split(' ').every((one) => scopes.includes(one))) {
    return back({ error: 'invalid_scope' })
  }
  if (world.knobsOf(state).consent === 'denied') return back({ error: 'access_denied' })
  const code = mint(world)
  bookOf(state).consent(code, { redirectUri, challenge, scope }, world.clock.now())
  return back({ code })
}

/** The exchange of a code. */
export function redeem(world: World, state: State, form: URLSearchParams): Used | Refused {
  const code = form.get('code') ?? ''
  const taken = bookOf(state).take(code, world.clock.now())
  if (taken === null) return { error: 'invalid_grant', description: 'the code is not valid, or was used' }
  if (form.get('redirect_uri') !== taken.redirectUri) {
    return { error: 'invalid_grant', description: 'redirect_uri is not that of the code' }
  }
  const verifier = form.get('code_verifier') ?? ''
  const isProven =
    taken.challenge === null
      ? verifier === ''
      : /^[\w.~-]{43,128}$/.test(verifier) &&
        createHash('sha256').update(verifier).digest('base64url') === taken.challenge
  if (!isProven) return { error: 'invalid_grant', description: 'code_verifier does not fit' }
  return granted(world, state, taken.scope, code)
}

export function refresh(world: World, state: State, form: URLSearchParams): Used | Refused {
  const used = bookOf(state).use(form.get('refresh_token') ?? '', termsOf(world, state), world.clock.now())
  return used ?? { error: 'invalid_grant', description: 'the refresh token is not valid, or was used' }
}

function termsOf(world: World, state: State): RefreshTerms {
  const { rotation, refreshGraceSeconds, reuseEndsFamily }: Knobs = world.knobsOf(state)
  return {
    rotates: rotation === 'always' || (rotation === 'may' && world.chance() < 0.5),
    graceMs: refreshGraceSeconds * 1_000,
    endsFamily: reuseEndsFamily,
    mint: () => mint(world),
  }
}

function mint(world: World): string {
  return world.mint('', 48)
}
