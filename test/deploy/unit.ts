/** A systemd unit as its sections: each directive with all the values that it is given. */

export type Unit = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

export function unitOf(text: string): Unit {
  const unit: Record<string, Record<string, string[]>> = {}
  let section: Record<string, string[]> = {}
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const head = /^\[(\w+)\]$/.exec(line)?.[1]
    if (head !== undefined) {
      section = unit[head] = {}
      continue
    }
    const equals = line.indexOf('=')
    if (equals < 1) throw new Error(`no directive: ${line}`)
    const name = line.slice(0, equals)
    section[name] = [...(section[name] ?? []), line.slice(equals + 1)]
  }
  return unit
}
