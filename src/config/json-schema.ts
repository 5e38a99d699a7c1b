/** The JSON Schema of the configuration, for editors: draft-07, which the YAML language server reads. */
import { z } from 'zod'
import { isJsonObject, type Json, type JsonObject } from '../base/json.ts'
import { configSchema } from './schema.ts'

const reference = { type: 'string', pattern: '\\$\\{' } as const

/**
 * @param source the schema of one source, which the provider catalogue knows; without it a source is any mapping.
 */
export function configJsonSchema(source: JsonObject | null = null): JsonObject {
  const written = z.toJSONSchema(configSchema, { target: 'draft-7', io: 'input' }) as JsonObject
  const plain = withReferences(written)
  const inner = Object.fromEntries(Object.entries(source ?? {}).filter(([key]) => key !== '$schema'))
  const properties = isJsonObject(plain.properties) ? plain.properties : {}
  const sources = isJsonObject(properties.sources) ? properties.sources : {}
  return {
    ...plain,
    title: 'zhongkong.yaml',
    properties: {
      ...properties,
      sources: { ...sources, additionalProperties: source === null ? { type: 'object' } : withReferences(inner) },
    },
  }
}

/** Any value may be a reference to the environment instead, so an editor must not call that wrong. */
function withReferences(schema: JsonObject): JsonObject {
  const entries = Object.entries(schema).flatMap(([key, value]): [string, Json][] => {
    // JSON has no safe integers; their limits are noise in an editor.
    if (Math.abs(Number(value)) === Number.MAX_SAFE_INTEGER) return []
    if (key === 'propertyNames' || key === 'default') return key === 'default' ? [[key, value]] : []
    if (key === 'properties' && isJsonObject(value)) {
      return [[key, Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, orReference(inner)]))]]
    }
    if (Array.isArray(value))
      return [[key, value.map((item: Json) => (isJsonObject(item) ? withReferences(item) : item))]]
    return [[key, isJsonObject(value) ? withReferences(value) : value]]
  })
  return Object.fromEntries(entries)
}

function orReference(value: Json): Json {
  if (!isJsonObject(value)) return value
  const schema = withReferences(value)
  const isFixed = schema.enum !== undefined || schema.const !== undefined
  const isScalar = schema.type === 'boolean' || schema.type === 'integer' || schema.type === 'number'
  if (!isScalar && !(isFixed && schema.type === 'string')) return schema
  const { description, default: fallback, ...shape } = schema
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    anyOf: [shape, reference],
  }
}
