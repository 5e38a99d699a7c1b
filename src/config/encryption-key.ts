/** The 32 bytes that entries are encrypted with, written as hex or base64. */

/** The key, or null when the text is no 32 bytes in hex, base64 or base64url. */
export function parseEncryptionKey(text: string): Uint8Array | null {
  if (/^[0-9a-f]{64}$/i.test(text)) return new Uint8Array(Buffer.from(text, 'hex'))
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null
  const bytes = new Uint8Array(Buffer.from(text, 'base64'))
  return bytes.length === 32 ? bytes : null
}

/** A key that nobody rolled: one byte all over, or bytes that count up. */
export function isGuessable(key: Uint8Array): boolean {
  return new Set(key.map((byte, index) => byte - (key[index - 1] ?? 0))).size <= 2
}
