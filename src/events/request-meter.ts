/**
 * Counts and times requests without touching prom-client: the hot path adds to plain numbers, and they become a
 * histogram in the text exposition format when somebody scrapes.
 */

export type RequestMeter = {
  readonly observe: (route: string, status: number, seconds: number) => void
  /** The histogram as text. */
  readonly expose: () => string
}

const requestMetric = {
  name: 'zhongkong_http_request_duration_seconds',
  help: 'Requests by route and status, and how long they took, in seconds.',
  type: 'histogram',
} as const

/** Upper bounds in seconds: from memory reads to the longest wait. */
const bounds = [0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60]
/** Routes and statuses are few and fixed; this only keeps a mistake from becoming a flood. */
const rowsMax = 1_000

type Row = { readonly route: string; readonly status: number; readonly buckets: number[]; sum: number }

export function createRequestMeter(): RequestMeter {
  const routes = new Map<string, Map<number, Row>>()
  let rows = 0
  const rowOf = (route: string, status: number): Row | null => {
    const ofRoute = routes.get(route)
    const known = ofRoute?.get(status)
    if (known !== undefined) return known
    if (rows >= rowsMax) return null
    rows += 1
    const made: Row = { route, status, buckets: Array<number>(bounds.length + 1).fill(0), sum: 0 }
    routes.set(route, (ofRoute ?? new Map<number, Row>()).set(status, made))
    return made
  }
  return {
    observe: (route, status, seconds) => {
      const row = rowOf(route, status)
      if (row === null) return
      let bucket = 0
      while (bucket < bounds.length && seconds > (bounds[bucket] ?? Infinity)) bucket += 1
      row.buckets[bucket] = (row.buckets[bucket] ?? 0) + 1
      row.sum += seconds
    },
    expose: () => {
      const { name, help, type } = requestMetric
      const lines = [...routes.values()].flatMap((ofRoute) => [...ofRoute.values()]).flatMap(series)
      return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ''].join('\n')
    },
  }
}

/** Each bucket of the exposition counts everything up to its bound. */
function series({ route, status, buckets, sum }: Row): string[] {
  const { name } = requestMetric
  const labels = `route="${route.replace(/[\\"\n]/g, '_')}",status="${status}"`
  let count = 0
  const counted = buckets.map((inBucket, at) => {
    count += inBucket
    return `${name}_bucket{${labels},le="${bounds[at] ?? '+Inf'}"} ${count}`
  })
  return [...counted, `${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${count}`]
}
