/** The OpenAPI 3.1 document, made from the route list. */
import { z } from 'zod'
import { errorTable, type ErrorCode } from '../base/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../base/json.ts'
import { jsonType, problemType } from './answer.ts'
import { namedSchemas } from './schemas.ts'
import type { AnswerDoc, Described, RouteScope } from './surface.ts'

const described: Readonly<Record<RouteScope, string>> = {
  public: 'Needs no key.',
  own: 'Proves itself in the parameters, as the original does.',
  client: 'Needs any API key.',
  read: 'Needs a key that may read the source.',
  refresh: 'Needs a key that may refresh the source.',
  gateway: 'Needs a key that may call through the source.',
  operator: 'Needs a loopback address, or the key of an admin.',
  admin: 'Needs the key of an admin.',
}

/** Codes that any request may meet, beside those of its scope. */
const anywhere: readonly ErrorCode[] = ['bad_request', 'not_found', 'method_not_allowed', 'internal', 'closed']
const withKey: readonly ErrorCode[] = ['unauthorized', 'forbidden', 'too_many_attempts']
const withBody: readonly ErrorCode[] = ['payload_too_large', 'unsupported_media_type']
const ofSources: readonly ErrorCode[] = ['token_unavailable', 'conflict', 'loop_detected']

export function openapi(routes: readonly Described[], version: string): JsonObject {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of routes) {
    const path = (paths[route.path] ??= {})
    path[route.method.toLowerCase()] = operation(route)
  }
  const schemas = Object.fromEntries(Object.entries(namedSchemas).map(([name, schema]) => [name, jsonSchema(schema)]))
  return {
    openapi: '3.1.0',
    info: { title: 'zhongkong', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths,
    components: {
      schemas,
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key of `clients:`.' } },
    },
  }
}

function operation({ method, path, scope, doc }: Described): JsonObject {
  const parameters: Json[] = []
  if (path.includes('{name}')) {
    parameters.push({
      name: 'name',
      in: 'path',
      required: true,
      description: 'The source. A slash in it is written %2F.',
      schema: { type: 'string' },
    })
  }
  if (path.includes('{path}')) {
    parameters.push({
      name: 'path',
      in: 'path',
      required: true,
      description: 'The path at the upstream; slashes are written as they are.',
      schema: { type: 'string' },
    })
  }
  if (doc.query !== undefined) {
    const { properties = {}, required = [] } = jsonSchema(doc.query)
    for (const [name, schema] of Object.entries(isJsonObject(properties) ? properties : {})) {
      const isRequired = Array.isArray(required) && required.includes(name)
      parameters.push({ name, in: 'query', required: isRequired, schema })
    }
  }
  const isOpen = scope === 'public' || scope === 'own'
  return {
    operationId: `${method.toLowerCase()} ${path}`.replace(/[^A-Za-z0-9]+/g, '_').replace(/_$/, ''),
    tags: [doc.group],
    summary: doc.summary,
    description: described[scope],
    security: isOpen ? [] : [{ key: [] }],
    parameters,
    ...(doc.body === undefined
      ? {}
      : {
          requestBody: {
            content: { [doc.bodyType ?? jsonType]: { schema: schemaOf(doc.body) } },
            required: method === 'PUT',
          },
        }),
    responses: responses(scope, doc),
  }
}

function responses(scope: RouteScope, doc: Described['doc']): JsonObject {
  const all: Record<string, Json> = {}
  for (const [status, answer] of Object.entries(doc.answers)) all[status] = response(answer)
  const codes = [
    ...anywhere,
    ...(scope === 'public' ? [] : withKey),
    ...(doc.body === undefined ? [] : withBody),
    ...(doc.group === 'v1' ? ofSources : []),
  ]
  for (const code of codes) {
    const { status, text } = errorTable[code]
    all[String(status)] ??= response({ description: text.en, type: problemType, schema: namedSchemas.Problem })
  }
  return all
}

function response({ description, type, schema }: AnswerDoc): JsonObject {
  if (schema === undefined) return type === undefined ? { description } : { description, content: { [type]: {} } }
  return { description, content: { [type ?? jsonType]: { schema: schemaOf(schema) } } }
}

/** A reference where the schema has a name, the schema itself otherwise. */
function schemaOf(schema: z.ZodType): JsonObject {
  const named = Object.entries(namedSchemas).find(([, known]) => known === schema)
  if (named !== undefined) return { $ref: `#/components/schemas/${named[0]}` }
  return schema instanceof z.ZodUnion
    ? { anyOf: schema.options.flatMap((option) => (option instanceof z.ZodType ? [schemaOf(option)] : [])) }
    : jsonSchema(schema)
}

function jsonSchema(schema: z.ZodType): JsonObject {
  const written = z.record(z.string(), z.json()).parse(z.toJSONSchema(schema, { target: 'draft-2020-12' }))
  return Object.fromEntries(Object.entries(written).filter(([key]) => key !== '$schema'))
}
