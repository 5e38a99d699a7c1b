/**
 * Mutants: real bugs of other systems, each put back into our code as one small change of a source file. The simulation
 * must catch every one of them; a mutant that survives means that the simulation proves less than it says.
 */
import type { FaultKind } from './faults.ts'

export type Mutant = {
  readonly id: string
  readonly title: string
  /** Where this bug was seen. */
  readonly seenIn: string
  readonly file: string
  /** Stands in the file exactly once. */
  readonly find: string
  readonly replace: string
  /** The faults under which it shows. */
  readonly faults: readonly FaultKind[]
  readonly hours?: number
  readonly seeds?: number
  readonly nodes?: number
}

export const mutants: readonly Mutant[] = [
  {
    id: 'M1',
    title: 'a commit is written whatever the lease says',
    seenIn: 'WxJava#2803, EasyWeChat#696: an older token overwrites a newer one',
    file: 'src/keeper/settle-attempt.ts',
    find: `    if (record.entry.epoch !== job.entry.epoch) return { kind: 'lost' }
    if (record.entry.lease?.node !== room.node) return { kind: 'lost' }`,
    replace: '',
    faults: ['send-late', 'pause', 'answer-slow'],
  },
  {
    id: 'M2',
    title: 'a lost lease is noticed, but the entry is not marked',
    seenIn: 'fencing as it is usually built; worse than none on an upstream that honours no fence',
    file: 'src/keeper/settle-attempt.ts',
    find: "  tell(room, 'strayed', source.name, {})\n  await writeStray(room, source, arrivedAt)",
    replace: "  tell(room, 'strayed', source.name, {})",
    faults: ['send-late'],
  },
  {
    id: 'M4',
    title: 'the back-off is computed and not waited for',
    seenIn: 'Vault LifetimeWatcher #20645, #26382',
    file: 'src/model/decide.ts',
    find: 'if (trouble.generation !== source.generation) return 0',
    replace: 'return 0',
    faults: ['refused-transient', 'upstream-outage'],
  },
  {
    id: 'M5',
    title: 'a lease shorter than the work, and no look at the clock before sending',
    seenIn: 'oauth2-proxy #1580, #1992; sub2api #1382',
    file: 'src/model/settle.ts',
    find: 'return source.policy.timeoutMs + leaseMarginMs',
    replace: 'return 2_000',
    faults: ['answer-slow', 'pause'],
  },
  {
    id: 'M5b',
    title: 'the clock is not looked at before sending',
    seenIn: 'architecture: CAS protects the store, not the upstream',
    file: 'src/keeper/refresh.ts',
    find: 'if (clock.monotonic() - startedAt + source.policy.timeoutMs + leaseSafetyMs > leaseMs || room.stopping.aborted) {',
    replace: 'if (room.stopping.aborted) {',
    faults: ['pause-with-lease'],
  },
  {
    id: 'M9',
    title: 'the old token is thrown away before the new one is there',
    seenIn: 'WxJava#324',
    file: 'src/model/settle.ts',
    find: '    ...entry,\n    token,\n    lease: { node',
    replace: '    ...entry,\n    token: null,\n    lease: { node',
    faults: ['upstream-outage', 'answer-slow'],
  },
  {
    id: 'M10',
    title: 'a report refreshes without asking whether the reported token is current',
    seenIn: 'WxJava#1300, #1381',
    file: 'src/keeper/compare-and-refresh.ts',
    find: 'if (token === null || (stale !== undefined && !safeEqual(stale, token.value))) {',
    replace: 'if (token === null) {',
    faults: ['report-flood', 'false-report'],
  },
  {
    id: 'M11',
    title: 'the lease is taken without judging the entry it is taken on',
    seenIn: 'WxJava#1222, #1554: no look after the lock',
    file: 'src/keeper/refresh.ts',
    find: 'const revision = await room.store.write(source.name, { entry: granted, dueAt: wakeAt(granted) }, job.revision)',
    replace:
      'const latest = await room.store.read(source.name)\n  const revision = await room.store.write(source.name, { entry: { ...(latest.entry ?? granted), lease: granted.lease, epoch: (latest.entry ?? granted).epoch + 1 }, dueAt: wakeAt(granted) }, latest.revision)',
    faults: ['store-slow', 'report-flood'],
  },
  {
    id: 'M12',
    title: 'a store that fails is taken for a store that is empty',
    seenIn: 'silenceper/wechat#762: a Redis blip burnt a day of quota',
    file: 'src/keeper/room.ts',
    find: 'const { entry, revision } = await room.store.read(name)',
    replace:
      'const { entry, revision } = await room.store.read(name).catch(() => ({ entry: { ...newEntry(room.time.now()), lease: null }, revision: 0 }))',
    faults: ['store-outage', 'partition'],
  },
  {
    id: 'M13',
    title: 'no margin: a token is served to its last instant and counted from the answer',
    seenIn: 'EasyWeChat uses the full expires_in; WxJava counts from receiving',
    file: 'src/model/expiry.ts',
    find: 'return sentAt + lifetimeMs - marginMs(lifetimeMs)',
    replace: 'return sentAt + lifetimeMs + 15_000',
    faults: ['upstream-outage', 'answer-slow'],
  },
  {
    id: 'M14',
    title: 'an unusable lifetime becomes a made-up one',
    seenIn: 'EasyWeChat abs(expires_in - 100)',
    file: 'src/model/expiry.ts',
    find: 'return Math.min(told ?? source.semantics.fallbackTtlMs, lifetimeMsMax)',
    replace: 'return Math.min(told === null ? 7_200_000 * 12 : told + 3_600_000, lifetimeMsMax)',
    faults: ['answer-garbled', 'upstream-outage'],
  },
  {
    id: 'M16',
    title: 'a fixed lifetime, and a refresh period as long as it',
    seenIn: 'wechat-token-server: TTL 7000 and a loop that sleeps 7000',
    file: 'src/model/expiry.ts',
    find: 'return Math.round(token.expiresAt - leadMs(source, token.lifetimeMs, chance))',
    replace: 'return Math.round(token.issuedAt + 7_400_000 + 0 * leadMs(source, token.lifetimeMs, chance))',
    faults: [],
  },
  {
    id: 'M17b',
    title: 'callers are told the whole life, though the token is replaced before its end',
    seenIn: 'TokenBoy, wechat-token-ccs: expires_in is an echo',
    file: 'src/model/expiry.ts',
    find: 'return Math.min(token.expiresAt, entry.dueAt + graceMs)\n',
    replace: 'return token.expiresAt + 0 * graceMs\n',
    faults: [],
  },
  {
    id: 'M18',
    title: 'an attempt without a deadline holds its flight for ever',
    seenIn: 'Nango#1005: one connection never refreshed until a restart',
    file: 'src/keeper/refresh.ts',
    find: 'return await until(answer, time.signal)',
    replace: 'time.done()\n    return await answer',
    faults: ['request-lost'],
    nodes: 1,
  },
  {
    id: 'M19',
    title: 'a background refresh that fails ends the process',
    seenIn: 'Azure tokenCycler: an unawaited refresh rethrows',
    file: 'src/keeper/keep-fresh.ts',
    find: `        .then(
          () => undefined,
          () => undefined,
        )`,
    replace: '        .then(() => undefined)',
    faults: ['store-outage', 'partition'],
  },
  {
    id: 'M20b',
    title: 'the loop forgets a source whose look failed',
    seenIn: 'wechat-token-server: a failed first render ends the refresh loop for ever',
    file: 'src/keeper/keep-fresh.ts',
    find: 'this.#queue.add(name, this.#room.time.now() + 1_000 + 1_000 * this.#room.env.random.next())\n        throw thrown',
    replace:
      'this.#queue.add(name, Infinity)\n        this.#cursor = null\n        await new Promise<void>(() => undefined)\n        throw thrown',
    faults: ['store-outage', 'partition'],
  },
  {
    id: 'M21',
    title: 'a failure text holds the URL with its secrets',
    seenIn: 'WxJava logs the whole URL at warn',
    file: 'src/keeper/refresh.ts',
    find: 'message: `no answer within ${seconds} s`,',
    replace: 'message: `no answer within ${seconds} s: ${JSON.stringify(source.definition)}`,',
    faults: ['request-lost', 'upstream-outage'],
  },
  {
    id: 'M22',
    title: 'after an unknown outcome it waits as long as after a refusal',
    seenIn: 'AWS SDKs: minutes of back-off, right for AWS, wrong where the old token is dying',
    file: 'src/model/settle.ts',
    find: 'return Math.max(1_000, backoffMs(count, { baseMs: 1_000, capMs: isPressing ? 15_000 : 60_000 }, chance))',
    replace: 'return backoffMs(count, { baseMs: 600_000, capMs: 600_000 }, chance)',
    faults: ['answer-lost'],
  },
  {
    id: 'M22b',
    title: 'an unknown outcome leaves the old token its whole life',
    seenIn: 'every SDK that was read: the answer is lost, the old token is believed',
    file: 'src/model/settle.ts',
    find: "const harmful = attempt.outcome === 'unknown' && mayRetire(source, ended.forced)",
    replace: 'const harmful = false && mayRetire(source, ended.forced)',
    faults: ['answer-lost'],
  },
  {
    id: 'M24',
    title: "leases are judged by the node's own wall clock",
    seenIn: 'certmagic file lock',
    file: 'src/keeper/store-time.ts',
    find: 'return this.#clock.monotonic() + this.#offset\n',
    replace: 'return this.#clock.now()\n',
    faults: [],
  },
  {
    id: 'M31',
    title: 'a ticket is asked for with whatever token is at hand',
    seenIn: 'TokenBoy: the ticket is fetched with the old token',
    file: 'src/keeper/refresh.ts',
    find: 'return token !== null && token.expiresAt > now && entry.doubt === null && !isUnresolved(entry)',
    replace: 'return token !== null',
    faults: ['upstream-outage', 'answer-lost'],
    hours: 48,
  },
  {
    id: 'M33',
    title: 'news of other nodes is not listened to',
    seenIn: 'node caches without invalidation',
    file: 'src/keeper/keep-fresh.ts',
    find: 'await Promise.all(names.map((name) => this.#follow(name, revisions.get(name))))',
    replace: '',
    faults: ['asked-refresh', 'foreign-refresh'],
  },
  {
    id: 'M34',
    title: 'the budget is never debited',
    seenIn: 'restart loops that burn a quota: the counter lived in memory',
    file: 'src/model/settle.ts',
    find: 'budget: spend(entry.budget, now, forced),',
    replace: 'budget: forced ? entry.budget : entry.budget,',
    faults: ['false-report', 'asked-refresh', 'report-flood'],
  },
]
