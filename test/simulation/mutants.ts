/**
 * Mutants: real bugs of other systems, each put back into our code as one small change of a source file. The simulation
 * must catch every one of them; a mutant that survives means that the simulation proves less than it says.
 */
import type { FaultKind } from './faults.ts'

/** One change of a source file. */
export type Change = {
  readonly file: string
  /** Stands in the file exactly once. */
  readonly find: string
  readonly replace: string
}

export type Mutant = Change & {
  readonly id: string
  readonly title: string
  /** Where this bug was seen. */
  readonly seenIn: string
  /** Guards in other files that have to go for the bug to show. */
  readonly also?: readonly Change[]
  /** The faults under which it shows, at their usual rate unless `rates` has another. */
  readonly faults: readonly FaultKind[]
  readonly rates?: Partial<Record<FaultKind, number>>
  /** Lifetime of every token, in seconds. */
  readonly ttl?: number
  readonly hours?: number
  readonly seeds?: number
  /** The first seed; one that is known to catch it saves the time of those before. */
  readonly from?: number
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
    find: 'return stray(source, entry, arrivedAt)',
    replace: 'return entry',
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
    id: 'M6',
    title: 'whoever ends an attempt clears the lease, whosever it is',
    seenIn: 'Nango Locking.release deletes the lock of another',
    file: 'src/keeper/settle-attempt.ts',
    find: "    if (record.entry.epoch !== job.entry.epoch) return { kind: 'lost' }\n",
    replace: `    if (record.entry.epoch !== job.entry.epoch) {
      const freed = { ...record.entry, lease: null }
      await room.store.write(name, { entry: freed, dueAt: wakeAt(freed) }, record.revision)
      return { kind: 'lost' }
    }
`,
    faults: ['send-late', 'answer-slow'],
    rates: { 'send-late': 0.2, 'answer-slow': 0.5 },
  },
  {
    id: 'M7',
    title: 'the refresh token of before is kept when another one came',
    seenIn: 'clients that read access_token and expires_in only; the next refresh is refused',
    file: 'src/model/settle.ts',
    find: 'return { grants: withIssuedGrant(source, entry, given, { with: sent.grant, now: sent.now }) }',
    replace: 'return given.at < 0 ? { grants: [] } : {}',
    faults: [],
  },
  {
    id: 'M8',
    title: 'access token and refresh token are committed in two writes',
    seenIn: 'token stores with a table for each; a crash between the two loses the authorisation',
    file: 'src/keeper/settle-attempt.ts',
    find: `    const entry = settlement.change(record.entry)
    const revision = await room.store.write(name, { entry, dueAt: wakeAt(entry) }, record.revision)
    room.time.touch()
    if (revision !== null) return { kind: 'written', entry, revision }`,
    replace: `    const entry = settlement.change(record.entry)
    const { grants: _, ...without } = entry
    const first = record.entry.grants === undefined ? without : { ...without, grants: record.entry.grants }
    let revision = await room.store.write(name, { entry: first, dueAt: wakeAt(entry) }, record.revision)
    if (revision !== null) revision = await room.store.write(name, { entry, dueAt: wakeAt(entry) }, revision)
    room.time.touch()
    if (revision !== null) return { kind: 'written', entry, revision }`,
    faults: ['crash'],
  },
  {
    id: 'M9',
    title: 'the old token is thrown away before the new one is there',
    seenIn: 'WxJava#324',
    file: 'src/model/settle.ts',
    find: '    ...entry,\n    token,\n    lease: { node',
    replace: '    ...entry,\n    token: null,\n    lease: { node',
    faults: ['upstream-outage', 'answer-slow'],
    // Another node would put back what it still holds.
    nodes: 1,
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
    file: 'src/keeper/refresh.ts',
    find: 'const revision = await room.store.write(source.name, { entry: granted, dueAt: wakeAt(granted) }, job.revision)',
    replace:
      'const revision = await room.store.write(source.name, { entry: granted, dueAt: wakeAt(granted) }, job.revision).catch(() => job.revision)',
    also: [
      {
        file: 'src/keeper/room.ts',
        find: 'const { entry: stored, revision } = await room.store.read(name)',
        replace:
          'const { entry: stored, revision } = await room.store.read(name).catch(() => ({ entry: newEntry(room.time.now()), revision: 0 }))',
      },
      {
        file: 'src/keeper/store-time.ts',
        find: 'return this.isTrusted() && this.#clock.monotonic() - this.#lookedAt <= exactMsMax',
        replace: 'return true',
      },
    ],
    // In an outage little is due; it is those who ask by whom the upstream is asked.
    faults: ['store-outage', 'partition', 'asked-refresh', 'false-report'],
    rates: { 'asked-refresh': 400, 'false-report': 400, 'store-outage': 20 },
    from: 6,
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
    id: 'M15',
    title: 'a fixed time is taken off every lifetime, however short it is',
    seenIn: 'silenceper/wechat expires_in - 1500: negative for short lives',
    file: 'src/model/expiry.ts',
    find: 'return sentAt + lifetimeMs - marginMs(lifetimeMs)',
    replace: 'return sentAt + lifetimeMs - 1_500_000',
    faults: [],
    ttl: 1_200,
    hours: 6,
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
    id: 'M17',
    title: 'a refusal throws the living token away',
    seenIn: 'oauth2-proxy: the session is cleared when a refresh is refused',
    file: 'src/model/settle.ts',
    find: '    token,\n    lease: null,\n    resolvedEpoch: harmful',
    replace: "    token: attempt.outcome === 'rejected' ? null : token,\n    lease: null,\n    resolvedEpoch: harmful",
    faults: ['refused-transient', 'refused-quota'],
    // Another node would put back what it still holds.
    nodes: 1,
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
    from: 33,
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
    from: 33,
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
    find: "const mayHaveRetired = attempt.outcome === 'unknown' && mayRetire(source, ended.forced)",
    replace: 'const mayHaveRetired = false && mayRetire(source, ended.forced)',
    faults: ['answer-lost'],
  },
  {
    id: 'M23',
    title: 'life is counted from the arrival of the answer',
    seenIn: 'WxJava and most SDKs: expires_in is added to the time after the call',
    file: 'src/keeper/refresh.ts',
    find: 'return await settle(room, held, outcome, sentAt)',
    replace: 'return await settle(room, held, outcome, Math.max(sentAt, room.time.now()))',
    faults: ['answer-slow'],
    rates: { 'answer-slow': 0.5 },
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
    id: 'M25b',
    title: 'a node that died between sending and committing is not noticed',
    seenIn: 'oauthapp, Nango, oauth2-proxy: no intent is written before the request',
    file: 'src/model/decide.ts',
    find: 'return entry.epoch > entry.resolvedEpoch\n',
    replace: 'return entry.epoch > entry.resolvedEpoch + 1_000_000\n',
    // The upstream refuses for long after the node has died, so that no schedule heals what nobody noticed.
    faults: ['crash-in-flight', 'refused-transient', 'asked-refresh'],
    rates: { 'crash-in-flight': 0.3, 'refused-transient': 0.9, 'asked-refresh': 12 },
  },
  {
    id: 'M26',
    title: 'a failure is followed by the next try at once',
    seenIn: 'token servers whose refresh calls itself when it fails',
    file: 'src/model/settle.ts',
    find: 'nextTry: ended.now + Math.max(waitMs, told),',
    replace: 'nextTry: ended.now + 0 * Math.max(waitMs, told),',
    faults: ['refused-transient', 'refused-quota', 'upstream-outage'],
  },
  {
    id: 'M27',
    title: 'a reload adds the new sources and keeps the old ones going',
    seenIn: 'consul#12607: a reload leaks the renewers of before',
    file: 'src/keeper/source-book.ts',
    find: '  replace(sources: readonly Source[]): void {\n    this.#file = new Map(sources.map((source) => [source.name, source]))',
    replace:
      '  replace(sources: readonly Source[]): void {\n    this.#file = new Map([...this.#file, ...sources.map((source) => [source.name, source] as const)])',
    faults: ['source-dropped'],
    rates: { 'source-dropped': 4 },
  },
  {
    id: 'M30',
    title: 'a source that may not be read is answered otherwise than one that is not there',
    seenIn: 'wechat-token-server and most others: names can be enumerated',
    file: 'src/http/gate.ts',
    find: "if (scope === 'read') return client.may('read', name) ? { client } : notFound",
    replace: "if (scope === 'read') return client.may('read', name) ? { client } : forbidden",
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
    id: 'M32',
    title: 'a node that hears of an older version late goes back to it',
    seenIn: 'WxJava#2803: versions go back',
    file: 'src/keeper/views.ts',
    find: 'if (isOlder) return isSameDefinition ? known : this.#set(source, known.entry, known.revision, known)',
    replace: '',
    also: [
      {
        file: 'src/keeper/room.ts',
        find: 'if (known === undefined || !isBehind(entry, known) || room.views.isPinned(name))',
        replace: 'if (true)',
      },
    ],
    // The look that follows on the lease is answered after the commit, and so is the next one.
    faults: ['store-answer-slow', 'asked-refresh'],
    rates: { 'store-answer-slow': 0.2, 'asked-refresh': 24 },
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
    from: 8,
  },
  {
    id: 'M35',
    title: 'a removed source is brought back by the attempt that was in the air',
    seenIn: 'Nango has a test for it: the connection is deleted during its refresh',
    file: 'src/keeper/settle-attempt.ts',
    find: "if (record.entry === null) return { kind: 'removed' }",
    replace: 'if (record.entry === null) record = { entry: job.entry, revision: record.revision }',
    faults: ['source-removed', 'answer-slow'],
    rates: { 'source-removed': 12, 'answer-slow': 0.3 },
  },
  {
    id: 'M36',
    title: 'a reader who wants more time than any token has is obeyed again and again',
    seenIn: 'EasyWeChat and WxJava loops that refresh while the rest seems too short',
    file: 'src/keeper/read-token.ts',
    find: 'if (minTtlMs > longestMs) {',
    replace: 'if (minTtlMs > Infinity) {',
    faults: [],
  },
  {
    id: 'M37',
    title: 'a reader who wants more time than is left is given less',
    seenIn:
      'google-auth, oauthapp before minimum-seconds: the wish is looked at when a token is fetched, not when it is read',
    file: 'src/keeper/read-token.ts',
    find: 'const enough = (reading: Reading | null): reading is Reading => reading !== null && reading.leftMs >= minTtlMs',
    replace: 'const enough = (reading: Reading | null): reading is Reading => reading !== null',
    faults: [],
  },
  {
    id: 'M38',
    title: 'news of a commit is answered with a look that began before it',
    seenIn: 'found here: shared reads, and a store that answers slowly',
    file: 'src/keeper/keep-fresh.ts',
    find: 'if ((found?.revision ?? 0) < (revision ?? 0)) found = await lookUp(this.#room, name)',
    replace: '',
    faults: ['store-answer-slow', 'asked-refresh', 'status-watch'],
    rates: { 'store-answer-slow': 0.2, 'asked-refresh': 48, 'status-watch': 72 },
    hours: 12,
    from: 9,
  },
  {
    id: 'M39',
    title: "a reader's wish replaces an unconfirmed token with the next unconfirmed one",
    seenIn: 'found here: each wish hands the waiting on, so none is ever granted',
    file: 'src/keeper/read-token.ts',
    find: 'const againAt = entry.token?.isUnconfirmed === true ? entry.dueAt : intervalEndsAt',
    replace: 'const againAt = intervalEndsAt',
    faults: ['answer-lost', 'wish-flood'],
    rates: { 'answer-lost': 0.2, 'wish-flood': 48 },
  },
  {
    id: 'M40',
    title: 'a removed source is brought back by a look that began before',
    seenIn: 'found here: the node that removed it served it on',
    file: 'src/keeper/room.ts',
    find: '      if (room.views.forgotten !== forgotten) continue\n',
    replace: '',
    faults: ['source-removed', 'store-answer-slow'],
    rates: { 'source-removed': 24, 'store-answer-slow': 0.1 },
    hours: 12,
    from: 22,
  },
  {
    id: 'L8',
    title: 'what a failover lost is not put back by those who know it',
    seenIn: 'caches over Redis that trust whatever replica took over',
    file: 'src/keeper/room.ts',
    find: 'if (known === undefined || !isBehind(entry, known) || room.views.isPinned(name))',
    replace: 'if (entry !== null)',
    faults: ['store-failover'],
    rates: { 'store-failover': 0.05 },
  },
  {
    id: 'L8b',
    title: 'a store that says that it begins anew is not looked at anew',
    seenIn: 'watchers that go on from their cursor after a failover',
    file: 'src/keeper/keep-fresh.ts',
    find: 'const names = changes.reset ? [...this.#room.views.names()] : changes.changed.map(({ name }) => name)',
    replace: 'const names = changes.changed.map(({ name }) => name)',
    faults: ['store-failover'],
    rates: { 'store-failover': 0.05 },
  },
  {
    id: 'L8d',
    title: 'what was done about a lost token is done again',
    seenIn: 'this project: a wish outlived the token it was about',
    file: 'src/model/entry.ts',
    find: "doubt: entry.doubt?.reason === 'stray' ? entry.doubt : known.doubt,",
    replace: '',
    faults: ['store-failover'],
    rates: { 'store-failover': 0.05 },
  },
  {
    id: 'L12',
    title: 'the end of an attempt is written over whatever has the revision of its lease now',
    seenIn: 'compare-and-swap on a counter that a failover sets back',
    file: 'src/keeper/settle-attempt.ts',
    find: 'return lease !== null && room.time.now() - lease.at < failoverMsMin',
    replace: 'return lease !== null',
    faults: ['store-failover', 'answer-slow'],
    rates: { 'store-failover': 0.05, 'answer-slow': 0.5 },
  },
  {
    id: 'L8e',
    title: 'an attempt that a failover lost is forgotten by those who know of it',
    seenIn: 'fencing tokens that begin anew behind a failover',
    file: 'src/model/entry.ts',
    find: ' || (entry.lease === null && entry.epoch < known.epoch)',
    replace: '',
    faults: ['store-failover', 'answer-lost'],
    rates: { 'store-failover': 0.05, 'answer-lost': 0.2 },
  },
  {
    id: 'M60',
    title: 'whatever is no clear yes to a probe is taken for a no',
    seenIn: 'probes that take an outage, a limit or a firewall of the platform for an invalid token',
    file: 'src/providers/probe.ts',
    find: "else said = invalid.some((each) => each === code || String(each) === code) ? 'dead' : 'unclear'",
    replace: "else said = 'dead'",
    faults: ['false-report', 'refused-transient'],
    rates: { 'false-report': 24, 'refused-transient': 0.3 },
  },
  {
    id: 'M61',
    title: 'the platform is asked for everybody who says that a token is dead',
    seenIn: 'MillCloud/wechat-token-server: a probe every three seconds; wechatpy: 488 fetches for one refused call',
    file: 'src/model/suspicion.ts',
    find: "  if (waitMs <= 0) return { act: 'probe' }",
    replace: "  if (waitMs <= Infinity) return { act: 'probe' }",
    faults: ['report-flood', 'false-report'],
  },
  {
    id: 'M62',
    title: 'a client that was wrong is not believed any more',
    seenIn: 'blocklists without an end',
    file: 'src/model/suspicion.ts',
    find: 'return Math.min(msMax, lifetimeMs / 4, gapMsOf(lifetimeMs) * gaps * 2 ** (times - 1))',
    replace: 'return Infinity',
    faults: ['false-report', 'revoked'],
    rates: { 'false-report': 6, revoked: 6 },
  },
]
