/** The JSON Schema of a source, for editors: one alternative per kind. */
import { z } from 'zod'
import type { JsonObject, Json } from '../base/json.ts'
import { isJsonObject } from '../base/json.ts'
import { callbackSchemaOf, policySchema } from './common-settings.ts'
import type { Provider } from './provider.ts'

/** The keys of a provider's own settings. */
export function settingKeys(provider: Provider): readonly string[] {
  const known = keysOf.get(provider)
  if (known !== undefined) return known
  const keys = Object.keys(propertiesOf(schemaOf(provider.schema)))
  keysOf.set(provider, keys)
  return keys
}

/** Schemas never change, and turning one into JSON Schema takes far longer than reading a definition by it. */
const keysOf = new WeakMap<Provider, readonly string[]>()

export function sourceSchemaOf(providers: readonly Provider[]): JsonObject {
  return {
    description: 'A source: one configured thing that yields a token.',
    oneOf: providers.map(alternative),
  }
}

function alternative(provider: Provider): JsonObject {
  const own = schemaOf(provider.schema)
  const callback =
    provider.callback === undefined ? {} : { callback: described(schemaOf(callbackSchemaOf(provider.callback))) }
  const required = Array.isArray(own.required) ? (own.required as readonly Json[]) : []
  return {
    title: provider.kind,
    type: 'object',
    properties: {
      provider: { const: provider.kind, description: 'The kind of the source.' },
      ...propertiesOf(own),
      ...propertiesOf(schemaOf(policySchema)),
      ...callback,
    },
    required: ['provider', ...required],
    additionalProperties: false,
  }
}

function described(schema: JsonObject): JsonObject {
  return { description: 'The platform’s server callback, at /callback/NAME.', ...schema }
}

function propertiesOf(schema: JsonObject): JsonObject {
  return isJsonObject(schema.properties) ? schema.properties : {}
}

/** As people write it: before anything was transformed. */
function schemaOf(schema: z.ZodType): JsonObject {
  const json: unknown = JSON.parse(JSON.stringify(z.toJSONSchema(schema, { io: 'input' })))
  if (!isJsonObject(json)) return {}
  return Object.fromEntries(Object.entries(json).filter(([key]) => key !== '$schema'))
}
