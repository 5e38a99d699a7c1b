/** A refusal of the gate as the error that the caller sees. Wrong keys are counted here, once per request. */
import { ZhongkongError } from '../base/errors.ts'
import type { Refusal } from './gate.ts'
import type { House, Peer } from './surface.ts'

export function refuse(house: House, refusal: Refusal, peer: Peer): ZhongkongError {
  const options = refusal.hint === undefined ? {} : { hint: refusal.hint }
  switch (refusal.refused) {
    case 'no-key':
      return new ZhongkongError('unauthorized', 'no API key was sent', options)
    case 'wrong-key': {
      if (house.guesses.isSpent(peer.address)) {
        const retryAfterSeconds = house.guesses.retryAfterSeconds(peer.address)
        return new ZhongkongError('too_many_attempts', 'too many wrong keys', { retryAfterSeconds })
      }
      house.guesses.count(peer.address)
      return new ZhongkongError('unauthorized', 'the API key is not valid', options)
    }
    case 'not-found':
      return new ZhongkongError('not_found', 'not found', options)
    case 'forbidden':
      return new ZhongkongError('forbidden', 'the key is valid, but lacks the right to do that', options)
    case 'not-local':
      return new ZhongkongError('forbidden', 'this request does not come from a program on this machine', options)
  }
}
