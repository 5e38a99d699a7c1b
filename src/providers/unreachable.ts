/**
 * Whether a failed request ever left this machine. Only errors that are certain to come before the first byte of the
 * request count as "not sent"; everything else may have reached the upstream.
 */

const connectCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EMFILE',
  'ENFILE',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** OpenSSL's verdicts on a certificate, and the alerts that end a handshake. */
const tlsCodes = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_REJECTED',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_CHAIN_TOO_LONG',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'HOSTNAME_MISMATCH',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_TLS_HANDSHAKE_TIMEOUT',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_NO_PROTOCOLS_AVAILABLE',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
  'ERR_SSL_DH_KEY_TOO_SMALL',
  'UND_ERR_PRX_TLS',
])

const causesMax = 8

export type Unreachable = { readonly kind: 'connect' | 'tls'; readonly word: string }

/** Why nothing was sent, or null when something may have been. Looks at codes only: texts may hold URLs with secrets. */
export function unreachable(thrown: unknown): Unreachable | null {
  const causes = causesOf(thrown, causesMax)
  for (const cause of causes) {
    const found = judge(cause)
    if (found !== null) return found
  }
  return null
}

/** The error itself and what lies behind it, outermost first. */
function causesOf(thrown: unknown, left: number): readonly object[] {
  if (typeof thrown !== 'object' || thrown === null || left === 0) return []
  return [thrown, ...causesOf('cause' in thrown ? thrown.cause : undefined, left - 1)]
}

function judge(error: object): Unreachable | null {
  // Several addresses were tried: nothing was sent only if every one of them failed before sending.
  if ('errors' in error && Array.isArray(error.errors) && error.errors.length > 0) {
    const all = error.errors.slice(0, 32).map((each: unknown) => unreachable(each))
    return all.every((each) => each !== null) ? (all[0] ?? null) : null
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (connectCodes.has(code) || code.startsWith('EAI_')) return { kind: 'connect', word: code }
  if (tlsCodes.has(code)) return { kind: 'tls', word: code }
  const atConnect = 'syscall' in error && error.syscall === 'connect'
  if (atConnect && /^E[A-Z]+$/.test(code)) return { kind: 'connect', word: code }
  // undici has no code of its own for a proxy that refuses to open the tunnel.
  const text = 'message' in error && typeof error.message === 'string' ? error.message : ''
  const tunnel = /^Proxy response \((\d{3})\) !== 200 when HTTP Tunneling/.exec(text)
  if (tunnel !== null) return { kind: 'connect', word: `proxy answered ${tunnel[1] ?? ''}` }
  return null
}
