/**
 * Whether a failed request ever left this machine. Only errors that are certain to come before the first byte of the
 * request count as "not sent"; everything else may have reached the upstream.
 *
 * The same code may come early and late: a host that becomes unreachable breaks a connection on which the request has gone
 * out already. The system call tells them apart, as nothing is read or written before there is a connection.
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
  // No address answered in its share of the time.
  'ERR_SOCKET_CONNECTION_TIMEOUT',
  // Thrown for what undici was given, before it connects.
  'UND_ERR_INVALID_ARG',
])

/**
 * OpenSSL's verdicts on a certificate, and the alerts that end a handshake. An alert that the other side may also send
 * later (internal error, certificate required) is not among them.
 */
const tlsCodes = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_REJECTED',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_CHAIN_TOO_LONG',
  'CRL_HAS_EXPIRED',
  'CRL_NOT_YET_VALID',
  'CRL_SIGNATURE_FAILURE',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'HOSTNAME_MISMATCH',
  'PATH_LENGTH_EXCEEDED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_FORMAT',
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
  // OpenSSL refused to write: in the handshake, or with a connection that had broken before. Our requests are one write.
  'EPROTO',
])

/** What has no code that would tell it from something else, by the texts of Node and undici. */
const byText: readonly (readonly [RegExp, Unreachable['kind'], string])[] = [
  [/^Proxy response \((\d{3})\) !== 200 when HTTP Tunneling/, 'connect', 'proxy answered'],
  // A port of another protocol, which fetch refuses to speak to.
  [/^bad port$/, 'connect', 'bad port'],
  [
    /^Client network socket disconnected before secure TLS connection was established$/,
    'tls',
    'closed in the handshake',
  ],
]

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
  const syscall = 'syscall' in error ? error.syscall : undefined
  if (tlsCodes.has(code) && syscall !== 'read') return { kind: 'tls', word: code }
  const isConnected = syscall === 'read' || syscall === 'write'
  const isEarly = connectCodes.has(code) || code.startsWith('EAI_')
  if (isEarly && !isConnected) return { kind: 'connect', word: code }
  if (syscall === 'connect' && /^E[A-Z]+$/.test(code)) return { kind: 'connect', word: code }
  const text = 'message' in error && typeof error.message === 'string' ? error.message : ''
  for (const [pattern, kind, word] of byText) {
    const found = pattern.exec(text)
    if (found !== null) return { kind, word: [word, ...found.slice(1)].join(' ') }
  }
  return null
}
