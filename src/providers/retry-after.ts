/** The `Retry-After` header (RFC 9110, section 10.2.3), believed only within reason. */

const waitMsMin = 1_000
const waitMsMax = 3_600_000

/** Milliseconds to wait, between one second and one hour; null when the header is absent or makes no sense. */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null) return null
  const text = header.trim()
  if (/^\d{1,15}$/.test(text)) return clamp(Number(text) * 1_000)
  // Only the one form of dates that HTTP still sends: Date.parse alone would take almost anything for a date.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return null
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : clamp(at - now)
}

function clamp(ms: number): number {
  return Math.min(Math.max(ms, waitMsMin), waitMsMax)
}
