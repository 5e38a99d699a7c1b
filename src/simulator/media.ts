/**
 * Media as the platforms take and give it: an upload is read to its end and answered with an id that holds its size and
 * digest, and a download by such an id has that many bytes. So both ends of a long way can be compared.
 */
import { createHash } from 'node:crypto'
import type { JsonObject } from '../base/json.ts'
import type { Visit } from './upstream.ts'

export type Upload = { readonly size: number; readonly digest: string }

const uploads = /^\/cgi-bin\/(?:media\/upload|media\/uploadimg|material\/add_material)$/
const downloads = /^\/cgi-bin\/media\/get$/

export function isUpload({ method, path }: Visit): boolean {
  return method === 'POST' && uploads.test(path)
}

/** Reads the whole upload, however large, and keeps none of it. */
export async function readUpload(visit: Visit): Promise<Upload> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of visit.bytes()) {
    size += chunk.byteLength
    hash.update(chunk)
  }
  return { size, digest: hash.digest('hex') }
}

export function uploadBody({ size, digest }: Upload, now: number): JsonObject {
  return { type: 'image', media_id: `${size}.${digest}`, created_at: Math.floor(now / 1_000) }
}

/** The size of the media that is asked for; null when this is no download of one. */
export function downloadSize({ path, query }: Visit): number | null {
  const size = downloads.test(path) ? /^(\d{1,12})\./.exec(query.get('media_id') ?? '')?.[1] : undefined
  return size === undefined ? null : Number(size)
}

const chunkBytes = 65_536

/** So many bytes, the same ones each time. */
export function mediaOf(size: number): ReadableStream<Uint8Array> {
  const chunk = Uint8Array.from({ length: chunkBytes }, (_, at) => (at * 7) % 251)
  let left = size
  return new ReadableStream({
    pull: (controller) => {
      const part = chunk.subarray(0, Math.min(left, chunkBytes))
      left -= part.byteLength
      if (part.byteLength > 0) controller.enqueue(part)
      if (left === 0) controller.close()
    },
  })
}
