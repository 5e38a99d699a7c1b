/**
 * Small objects that travel through other people's browsers and come back unread and unchanged: sealed with a key that all
 * nodes of a store share, each for one purpose, each with its end.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { z } from 'zod'
import type { Env } from '../base/env.ts'

const nonceBytes = 12
const tagBytes = 16
/** What is longer was not made here. */
const lengthMax = 4_096

export type Sealer = {
  /** URL-safe text. What it says ends after `livesMs`. */
  seal(purpose: string, value: object, livesMs: number): string
  /** What was sealed for this purpose; null for anything else, and after its end. */
  open<T>(purpose: string, text: string, shape: z.ZodType<T>): T | null
}

/** `key`: 32 bytes. */
export function createSealer(key: Uint8Array, { clock, random }: Pick<Env, 'clock' | 'random'>): Sealer {
  return {
    seal: (purpose, value, livesMs) => {
      const nonce = random.bytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      cipher.setAAD(Buffer.from(purpose))
      const text = JSON.stringify({ value, endsAt: clock.now() + livesMs })
      const sealed = [nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]
      return Buffer.concat(sealed).toString('base64url')
    },
    open: (purpose, text, shape) => {
      const opened = opening(key, purpose, text)
      if (opened === null || opened.endsAt <= clock.now()) return null
      return shape.safeParse(opened.value).data ?? null
    },
  }
}

type Opened = { readonly value: unknown; readonly endsAt: number }

function opening(key: Uint8Array, purpose: string, text: string): Opened | null {
  if (text.length > lengthMax || !/^[\w-]+$/.test(text)) return null
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length <= nonceBytes + tagBytes) return null
  try {
    const options = { authTagLength: tagBytes }
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), options)
    decipher.setAAD(Buffer.from(purpose))
    decipher.setAuthTag(bytes.subarray(-tagBytes))
    const plain = Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()])
    // Nobody without the key can have written it.
    return JSON.parse(plain.toString('utf8')) as Opened
  } catch {
    return null
  }
}
