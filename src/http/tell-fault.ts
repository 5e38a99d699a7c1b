/** Words what a caller is told of an error; what broke inside goes to whoever keeps the log, under the request's id. */
import { asZhongkongError } from '../base/errors.ts'
import type { Language } from '../base/text.ts'
import type { TextAnswer } from './answer.ts'
import { problem } from './problem.ts'

export type OnFault = (thrown: unknown, where: { readonly route: string; readonly requestId: string }) => void

type Where = { readonly route: string; readonly requestId: string; readonly language: Language }

export type Tell = (thrown: unknown, where: Where) => TextAnswer

export function createTell(onFault: OnFault | undefined): Tell {
  return (thrown, { route, requestId, language }) => {
    const error = asZhongkongError(thrown)
    if (error.code === 'internal') onFault?.(error.cause ?? error, { route, requestId })
    return problem(error, language)
  }
}
