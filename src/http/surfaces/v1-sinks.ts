/** `/v1/sinks`: how what passes tokens on is doing, and what was never delivered. Never a token. */
import type { Dropped, SinkStatus } from '../../model/sink.ts'
import type { SinkAnswer, SinksAnswer } from '../../wire/v1.ts'
import { json, type Answer } from '../answer.ts'
import { checkQuery } from '../input.ts'
import { sinksSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'

function list({ house, url }: Visit): Answer {
  checkQuery(url)
  const answer: SinksAnswer = { sinks: house.sinks().map(sinkAnswer) }
  return json(200, answer)
}

function sinkAnswer(status: SinkStatus): SinkAnswer {
  const { name, kind, to, state, pending, delivered, failures, trouble, lastDeliveredAt } = status
  return {
    name,
    kind,
    to,
    state,
    pending,
    delivered,
    failures,
    trouble: trouble === null ? null : { since: seconds(trouble.since), message: trouble.message },
    last_delivered_at: lastDeliveredAt === null ? null : seconds(lastDeliveredAt),
    dropped_count: status.droppedCount,
    dropped: status.dropped.map(droppedAnswer),
  }
}

function droppedAnswer({ source, version, reason, at, message }: Dropped): SinkAnswer['dropped'][0] {
  return { source, version, reason, at: seconds(at), message }
}

function seconds(instant: number): number {
  return Math.floor(instant / 1_000)
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/v1/sinks',
    scope: 'operator',
    handler: list,
    doc: {
      group: 'v1',
      summary: 'How each sink is doing, and what was never delivered.',
      answers: { 200: { description: 'In order of the configuration', schema: sinksSchema } },
    },
  },
]
