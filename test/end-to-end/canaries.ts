/**
 * Values that must never be seen, and a search for them in whatever came out: as they are, in pieces, and in the forms in
 * which programs write bytes down.
 */

/** A piece of this length is as bad as the whole: long enough not to turn up by chance. */
const pieceLength = 12

export type Canary = { readonly name: string; readonly value: string }
export type Outlet = { readonly name: string; readonly bytes: Uint8Array | string }
export type Leak = { readonly canary: string; readonly outlet: string; readonly form: string }

/** Every canary in every outlet, once for each form. */
export function findLeaks(canaries: readonly Canary[], outlets: readonly Outlet[]): Leak[] {
  const searched = outlets.map(({ name, bytes }) => ({ name, text: textOf(bytes) }))
  return canaries.flatMap((canary) =>
    formsOf(canary.value).flatMap(({ form, needles }) =>
      searched
        .filter(({ text }) => needles.some((needle) => text.includes(needle)))
        .map(({ name }) => ({ canary: canary.name, outlet: name, form })),
    ),
  )
}

/** One character for each byte, so that nothing is lost in decoding. */
function textOf(bytes: Uint8Array | string): string {
  return (typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : Buffer.from(bytes)).toString('latin1')
}

type Form = { readonly form: string; readonly needles: readonly string[] }

function formsOf(value: string): Form[] {
  const hex = Buffer.from(value, 'utf8').toString('hex')
  return [
    { form: 'as it is', needles: pieces(value, pieceLength, 1) },
    { form: 'hex', needles: pieces(hex, pieceLength * 2, 2).flatMap((piece) => [piece, piece.toUpperCase()]) },
    { form: 'base64', needles: base64Of(value, 'base64') },
    { form: 'base64url', needles: base64Of(value, 'base64url') },
    { form: 'URL-encoded', needles: [encodeURIComponent(value)] },
    { form: 'escaped in JSON', needles: [JSON.stringify(value).slice(1, -1)] },
  ]
}

function pieces(text: string, length: number, step: number): string[] {
  const count = Math.max(1, Math.floor((text.length - length) / step) + 1)
  return Array.from({ length: count }, (_, each) => text.slice(each * step, each * step + length))
}

/** Wherever the value stands in a longer text, three letters of base64 stand for three bytes of it; the edges are mixed. */
function base64Of(value: string, encoding: 'base64' | 'base64url'): string[] {
  return [0, 1, 2].map((offset) => {
    const whole = Buffer.from(value, 'utf8').subarray(offset)
    return Buffer.from(whole.subarray(0, whole.length - (whole.length % 3))).toString(encoding)
  })
}
