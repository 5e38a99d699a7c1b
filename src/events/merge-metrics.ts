/**
 * The metrics of several processes as those of one. Counters and histograms are added up. Of a gauge the lowest value is
 * told: a version is the same everywhere, and one process without its store is worth an alert. What each has of its own is added up.
 */

/** Gauges of which each process has its own share. */
const shared: ReadonlySet<string> = new Set(['zhongkong_watchers'])

type Family = { readonly head: readonly string[]; readonly isGauge: boolean; readonly samples: Map<string, number> }

/** All of these, each in Prometheus' text format as `metrics.ts` writes it, as one text. */
export function mergeMetrics(texts: readonly string[]): string {
  const merged = new Map<string, Family>()
  for (const [name, family] of texts.flatMap((text) => [...familiesOf(text)])) {
    const known = merged.get(name)
    if (known === undefined) merged.set(name, family)
    else for (const [series, value] of family.samples) add(known, series, value, shared.has(name))
  }
  return textOf(merged)
}

/** What a process that is gone has counted: it stays counted, or rates would show a leap where a sum goes back. */
export function countersOf(text: string): string {
  return textOf(new Map([...familiesOf(text)].filter(([, { isGauge }]) => !isGauge)))
}

function add({ isGauge, samples }: Family, series: string, value: number, isShared: boolean): void {
  const known = samples.get(series)
  if (known === undefined) samples.set(series, value)
  else samples.set(series, isGauge && !isShared ? Math.min(known, value) : known + value)
}

function familiesOf(text: string): Map<string, Family> {
  const families = new Map<string, Family>()
  let help = ''
  let current: Family | undefined
  for (const line of text.split('\n')) {
    const [, word, name = '', kind] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? []
    if (word === 'HELP') help = line
    else if (word === 'TYPE') {
      current = { head: [help, line], isGauge: kind === 'gauge', samples: new Map() }
      families.set(name, current)
    } else if (line !== '') {
      const space = line.lastIndexOf(' ')
      current?.samples.set(line.slice(0, space), Number(line.slice(space + 1)))
    }
  }
  return families
}

function textOf(families: ReadonlyMap<string, Family>): string {
  const lines = [...families.values()].flatMap(({ head, samples }) => [
    ...head,
    ...[...samples].map(([series, value]) => `${series} ${value}`),
  ])
  return [...lines, ''].join('\n')
}
