/** The address that a platform saw a request come from, as its error texts tell it. */
import { isIP } from 'node:net'

/** Null when there is none in the text. */
export function addressIn(errmsg: string): string | null {
  const match = /(?:invalid ip|from ip:?|request ?ip[:=]?)\s*([0-9a-f.:]{3,45})/i.exec(errmsg)
  const address = match?.[1]?.replace(/[.:]+$/, '') ?? ''
  return isIP(address) === 0 ? null : address
}
