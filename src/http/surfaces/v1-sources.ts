/** `/v1/sources`: how each source is doing, and adding, changing and removing sources while running. Never a secret. */
import { z } from 'zod'
import { ZhongkongError } from '../../base/errors.ts'
import type { Language } from '../../base/text.ts'
import type { SourceState } from '../../keeper/keeper.ts'
import { sourceName } from '../../model/source.ts'
import type { SourceAnswer, SourcesAnswer } from '../../wire/v1.ts'
import { json, type Answer } from '../answer.ts'
import { checkQuery, countParameter, readJsonObject } from '../input.ts'
import { definitionSchema, sourceSchema, sourcesSchema } from '../schemas.ts'
import type { House, Surface, Visit } from '../surface.ts'
import { secondsOf } from '../token-answer.ts'

const limitDefault = 100
const limitMax = 1_000
/** Pages looked at for one answer, so that a client that may read one source of a million does not make us read all at once. */
const pagesMax = 10

async function list(visit: Visit): Promise<Answer> {
  const { house, url, client, language } = visit
  checkQuery(url)
  const limit = countParameter(url, 'limit', limitMax) ?? limitDefault
  let after = url.searchParams.get('after') ?? undefined
  const sources: SourceAnswer[] = []
  for (let pages = 0; pages < pagesMax && sources.length < limit; pages += 1) {
    const page = await house.keeper.states({ limit: limit - sources.length, ...(after === undefined ? {} : { after }) })
    for (const state of page.states) {
      if (client?.may('read', state.source.name)) sources.push(sourceAnswer(state, house, language))
    }
    after = page.next ?? undefined
    if (after === undefined) break
  }
  const answer: SourcesAnswer = { sources, next: after ?? null }
  return json(200, answer)
}

async function read({ house, name, url, language }: Visit): Promise<Answer> {
  checkQuery(url)
  const state = await house.keeper.state(name)
  if (state === undefined) throw new ZhongkongError('not_found', 'no such source')
  return json(200, sourceAnswer(state, house, language))
}

async function put({ house, name, url, request, language }: Visit): Promise<Answer> {
  checkQuery(url)
  if (!sourceName.test(name)) {
    throw new ZhongkongError('bad_request', 'a source name has 1 to 128 of: letters, digits, _ . : @ / -')
  }
  const definition = await readJsonObject(request)
  const { created } = await house.keeper.put(name, definition).catch((thrown: unknown) => {
    // A definition that came by HTTP is the caller's fault, not the configuration's.
    if (thrown instanceof ZhongkongError && thrown.code === 'config_invalid') {
      throw new ZhongkongError('bad_request', thrown.message, {
        cause: thrown,
        ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
      })
    }
    throw thrown
  })
  const state = await house.keeper.state(name)
  if (state === undefined) throw new ZhongkongError('conflict', 'the source was removed at the same moment')
  return json(created ? 201 : 200, sourceAnswer(state, house, language))
}

async function remove({ house, name, url }: Visit): Promise<Answer> {
  checkQuery(url)
  if (await house.keeper.remove(name)) return { status: 204, type: null, body: null }
  const isConfigured = (await house.keeper.source(name)) !== undefined
  if (isConfigured) throw new ZhongkongError('conflict', 'this source is in the configuration file: remove it there')
  throw new ZhongkongError('not_found', 'no such source')
}

/** The state of a source as callers see it. The definition and its secrets stay inside. */
function sourceAnswer(state: SourceState, { authorising }: House, language: Language): SourceAnswer {
  const { source, snapshot, trouble, authorizedAt, contest } = state
  const isMended = state.state === 'needs-authorization' && authorising.isFor(source)
  return {
    name: source.name,
    provider: source.kind,
    origin: source.origin,
    needs: source.needs,
    state: state.state,
    reason: state.reason,
    version: snapshot?.version ?? 0,
    expires_in: state.leftMs === null ? null : secondsOf(state.leftMs),
    issued_at: snapshot === null ? null : Math.floor(snapshot.issuedAt / 1_000),
    next_refresh_in: secondsOf(state.nextRefreshMs),
    attempts_today: state.attemptsToday,
    daily_limit: state.dailyLimit,
    trouble:
      trouble === null
        ? null
        : {
            class: trouble.class,
            code: trouble.failure.code,
            message: trouble.failure.message,
            ...(trouble.failure.upstream === undefined ? {} : { upstream: trouble.failure.upstream }),
            ...(trouble.failure.hint === undefined ? {} : { hint: trouble.failure.hint[language] }),
            count: trouble.count,
            since: Math.floor(trouble.since / 1_000),
          },
    conflict: contest !== null,
    ...(contest === null ? {} : { conflict_signs: signsOf(contest, language) }),
    ...(authorizedAt === null ? {} : { authorized_at: Math.floor(authorizedAt / 1_000) }),
    ...(isMended ? { authorize: `/authorize/${encodeURIComponent(source.name)}` } : {}),
  }
}

function signsOf(
  { sign, deaths, since, last, advice }: NonNullable<SourceState['contest']>,
  language: Language,
): NonNullable<SourceAnswer['conflict_signs']> {
  return { sign, deaths, since: Math.floor(since / 1_000), last: Math.floor(last / 1_000), hint: advice[language] }
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/v1/sources',
    scope: 'client',
    handler: list,
    doc: {
      group: 'v1',
      summary: 'The sources this key may read, by name, in pages.',
      query: z.object({
        after: z.string().optional().describe('The `next` of the page before.'),
        limit: z.int().min(1).max(limitMax).optional(),
      }),
      answers: { 200: { description: 'A page; it may be short, and ends when next is null', schema: sourcesSchema } },
    },
  },
  {
    method: 'GET',
    path: '/v1/sources/{name}',
    scope: 'read',
    handler: read,
    doc: {
      group: 'v1',
      summary: 'How one source is doing.',
      answers: { 200: { description: 'Its state', schema: sourceSchema } },
    },
  },
  {
    method: 'PUT',
    path: '/v1/sources/{name}',
    scope: 'admin',
    handler: put,
    doc: {
      group: 'v1',
      summary: 'Add or change a source while running. The body is its definition, as in the configuration file.',
      body: definitionSchema,
      answers: {
        200: { description: 'Changed', schema: sourceSchema },
        201: { description: 'Added', schema: sourceSchema },
      },
    },
  },
  {
    method: 'DELETE',
    path: '/v1/sources/{name}',
    scope: 'admin',
    handler: remove,
    doc: {
      group: 'v1',
      summary: 'Remove a source that was added while running.',
      answers: { 204: { description: 'Removed' } },
    },
  },
]
