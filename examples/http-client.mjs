// Any program in any language reads tokens over HTTP; this one uses nothing but fetch. Start the server in one terminal
// (npm start), then: node examples/http-client.mjs weixin
const url = process.env.ZHONGKONG_URL ?? 'http://127.0.0.1:8888'
const key = process.env.ZHONGKONG_KEY
const name = process.argv[2] ?? 'weixin'

const headers = key === undefined ? {} : { authorization: `Bearer ${key}` }

/** Asks the server; its errors are RFC 9457 problems that say what to do. */
async function ask(path, options = {}) {
  const answer = await fetch(`${url}${path}`, { ...options, headers: { ...headers, ...options.headers } })
  const body = await answer.json()
  if (!answer.ok) throw new Error(`${body.code}: ${body.detail}\n${body.hint ?? ''}`)
  return body
}

const source = encodeURIComponent(name)
const first = await ask(`/v1/tokens/${source}`)
console.log(`${name}: ${first.token.slice(0, 6)}…, version ${first.version}, good for ${first.expires_in} s`)

// Keep it that long at the most; ask again then. If the platform refuses it earlier (40001, 42001, 401), say which one.
const next = await ask(`/v1/tokens/${source}/refresh`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ stale: first.token }),
})
console.log(next.refreshed ? `refreshed, version ${next.version}` : `not refreshed (${next.reason})`)
