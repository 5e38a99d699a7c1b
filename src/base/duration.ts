/** Durations as people write them: `90` (seconds), `90s`, `15m`, `2h`, `7d`. */

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Milliseconds, or null when the text is no duration. A bare number counts seconds. */
export function parseDuration(text: string | number): number | null {
  if (typeof text === 'number') return wholeMs(text * 1_000)
  const match = /^(\d+(?:\.\d+)?)\s*([smhd])?$/.exec(text.trim())
  if (match === null) return null
  const unit = (match[2] ?? 's') as keyof typeof unitMs
  return wholeMs(Number(match[1]) * unitMs[unit])
}

/** Whole milliseconds; null for what is negative, or too long to be counted exactly. */
function wholeMs(ms: number): number | null {
  const whole = Math.round(ms)
  return Number.isSafeInteger(whole) && whole >= 0 ? whole : null
}

/** A short text for a span of time, such as `1h 59m`, `42s`, `0s`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3_600), 'h'],
    [Math.floor((seconds % 3_600) / 60), 'm'],
    [seconds % 60, 's'],
  ]
  const first = parts.findIndex(([count]) => count > 0)
  if (first === -1) return '0s'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${String(count)}${unit}`)
    .join(' ')
}
