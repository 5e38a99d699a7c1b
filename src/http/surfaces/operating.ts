/** What operators and machines ask: alive, ready, metrics, the API's description, and where to look. */
import { z } from 'zod'
import { json, jsonType, plain, type Answer } from '../answer.ts'
import { healthSchema } from '../schemas.ts'
import type { Surface, Visit } from '../surface.ts'

const welcome = `zhongkong: the central token server

GET /v1/tokens/NAME   a token
GET /v1/sources       how the sources are doing
GET /openapi.json     everything there is
GET /readyz           ready or not
`

async function metrics({ house }: Visit): Promise<Answer> {
  const { type, text } = await house.meter.expose()
  return { status: 200, type, body: text }
}

function ready({ house }: Visit): Answer {
  const isReady = house.keeper.isReady() && !house.draining.aborted
  return isReady ? json(200, { status: 'ready' }) : json(503, { status: 'not-ready' }, ['Retry-After', '1'])
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/',
    scope: 'public',
    handler: () => plain(200, welcome),
    doc: {
      group: 'operating',
      summary: 'Where to look.',
      answers: { 200: { description: 'A few lines', type: 'text/plain', schema: z.string() } },
    },
  },
  {
    method: 'GET',
    path: '/healthz',
    scope: 'public',
    handler: () => json(200, { status: 'ok' }),
    doc: {
      group: 'operating',
      summary: 'The process answers.',
      answers: { 200: { description: 'Alive', schema: healthSchema } },
    },
  },
  {
    method: 'GET',
    path: '/readyz',
    scope: 'public',
    handler: ready,
    doc: {
      group: 'operating',
      summary: 'The sources are known, and the store answers or living tokens are remembered; not while stopping.',
      answers: {
        200: { description: 'Ready', schema: healthSchema },
        503: { description: 'Not ready', schema: healthSchema },
      },
    },
  },
  {
    method: 'GET',
    path: '/metrics',
    scope: 'operator',
    handler: metrics,
    doc: {
      group: 'operating',
      summary: 'Prometheus metrics.',
      answers: { 200: { description: 'Text exposition format', type: 'text/plain', schema: z.string() } },
    },
  },
  {
    method: 'GET',
    path: '/openapi.json',
    scope: 'public',
    handler: ({ house }) => ({ status: 200, type: jsonType, body: house.document() }),
    doc: {
      group: 'operating',
      summary: 'This API, as OpenAPI 3.1.',
      answers: { 200: { description: 'The document', schema: z.looseObject({ openapi: z.string() }) } },
    },
  },
]
