/** Splits a definition into what every source may say and what only its provider understands, and reads both. */
import type { Json, JsonObject } from '../base/json.ts'
import type { DefinitionIssue } from '../model/definition.ts'
import type { Callback, RefreshPolicy } from '../model/source.ts'
import { callbackOf, callbackSchemaOf, policyOf, policySchema } from './common-settings.ts'
import { definitionIssues } from './definition-problems.ts'
import type { Provider } from './provider.ts'
import { settingKeys } from './source-json-schema.ts'

export type ReadDefinition =
  | {
      readonly ok: true
      readonly settings: unknown
      readonly policy: RefreshPolicy
      readonly callback: Callback | null
    }
  | { readonly ok: false; readonly issues: readonly DefinitionIssue[] }

const policyKeys = Object.keys(policySchema.shape)

export function readDefinition(provider: Provider, definition: JsonObject): ReadDefinition {
  const called = provider.callback
  const commonKeys = ['provider', ...policyKeys, 'callback']
  const known = [...settingKeys(provider), ...commonKeys.filter((key) => called !== undefined || key !== 'callback')]
  const policy = policySchema.safeParse(pick(definition, (key) => policyKeys.includes(key)))
  const settings = provider.schema.safeParse(pick(definition, (key) => !commonKeys.includes(key)))
  const written = definition.callback
  const schema = called === undefined ? null : callbackSchemaOf(called)
  const callback = written === undefined ? null : (schema?.safeParse(written) ?? null)
  const issues = [
    ...definitionIssues(settings.error?.issues ?? [], definition, known),
    ...definitionIssues(policy.error?.issues ?? [], definition, known),
    ...definitionIssues(
      (callback?.error?.issues ?? []).map((issue) => ({ ...issue, path: ['callback', ...issue.path] })),
      definition,
      Object.keys(schema?.shape ?? {}),
    ),
    ...(written === undefined || called !== undefined ? [] : [noCallback(provider.kind)]),
  ]
  if (issues.length > 0 || !settings.success || !policy.success || callback?.success === false) {
    return { ok: false, issues }
  }
  return {
    ok: true,
    settings: settings.data,
    policy: policyOf(policy.data),
    callback:
      callback === null || called === undefined
        ? null
        : callbackOf(callback.data, called.scheme, called.receiveIds(settings.data)),
  }
}

function pick(definition: JsonObject, isWanted: (key: string) => boolean): Record<string, Json> {
  return Object.fromEntries(Object.entries(definition).filter(([key]) => isWanted(key)))
}

function noCallback(kind: string): DefinitionIssue {
  return {
    path: ['callback'],
    message: {
      en: `The platform does not call back a source of kind ${kind}.`,
      zh: `平台不会回调 ${kind} 类型的来源。`,
    },
    fix: { en: 'Move it to the source of the account itself.', zh: '请移到该账号自身的来源下。' },
  }
}
