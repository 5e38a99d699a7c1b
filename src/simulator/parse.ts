/** Judging what comes from outside by a schema. */
import { z } from 'zod'
import { ZhongkongError } from '../base/errors.ts'

/** What the schema makes of a value, or a `bad_request` that says where it is wrong. */
export function parsed<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new ZhongkongError('bad_request', z.prettifyError(result.error))
}
