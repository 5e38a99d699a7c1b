/**
 * The platform's server callback. For now its URL check: a plain signature over token, timestamp and nonce, answered with
 * the echostr as it came. Whatever is wrong is refused in the same way, so that nothing is learned about sources.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { ZhongkongError } from '../../base/errors.ts'
import { safeEqual } from '../../base/secret.ts'
import { plain, type Answer } from '../answer.ts'
import type { Surface, Visit } from '../surface.ts'

/** SHA-1 over the sorted values, joined with nothing: the platforms' signature. */
export function sortedSha1(values: readonly string[]): string {
  return createHash('sha1')
    .update([...values].sort(byUnit).join(''), 'utf8')
    .digest('hex')
}

/** Plain order by code unit, whatever the machine's language. */
function byUnit(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

async function check({ house, name, url }: Visit): Promise<Answer> {
  const one = (key: string): string => {
    const values = url.searchParams.getAll(key)
    return values.length === 1 ? (values[0] ?? '') : ''
  }
  const [signature, timestamp, nonce, echostr] = ['signature', 'timestamp', 'nonce', 'echostr'].map(one)
  const callback = (await house.keeper.source(name))?.callback ?? null
  // Without a source the comparison is made all the same, against a value that no signature has.
  const expected = callback === null ? '' : sortedSha1([callback.token.reveal(), timestamp ?? '', nonce ?? ''])
  const isSigned = safeEqual(signature?.toLowerCase() ?? '', expected)
  const isComplete = timestamp !== '' && nonce !== '' && echostr !== undefined && echostr !== ''
  if (callback === null || !isSigned || !isComplete) throw refused()
  const ageSeconds = Math.abs(house.env.clock.now() / 1_000 - Number(timestamp))
  const isFresh = callback.maxAgeSeconds === 0 || ageSeconds <= callback.maxAgeSeconds
  if (!isFresh) throw refused()
  return plain(200, echostr)
}

function refused(): ZhongkongError {
  return new ZhongkongError('forbidden', 'the callback is not signed as it must be, or its timestamp is too old', {
    hint: {
      en: "Compare the source's callback token with the one at the platform, and this machine's clock with the real time.",
      zh: '请核对来源的 callback token 与平台上填写的是否一致，并检查本机时间是否准确。',
    },
  })
}

export const surfaces: readonly Surface[] = [
  {
    method: 'GET',
    path: '/callback/{name}',
    scope: 'own',
    handler: check,
    doc: {
      group: 'callback',
      summary: 'The URL check of the platform: answers echostr when the signature is right.',
      query: z.object({ signature: z.string(), timestamp: z.string(), nonce: z.string(), echostr: z.string() }),
      answers: { 200: { description: 'echostr, as it came', type: 'text/plain', schema: z.string() } },
    },
  },
]
