// For the container's HEALTHCHECK: exit code 0 when the server of this container answers. Not whether it is ready: while
// the store is away it is not, and to be replaced would cost it the tokens that it remembers. HEALTH_URL tells of another
// port, or of TLS.
const url = process.env.HEALTH_URL ?? 'http://127.0.0.1:8888/healthz'
try {
  const { ok } = await fetch(url, { signal: AbortSignal.timeout(2_000) })
  process.exit(ok ? 0 : 1)
} catch {
  process.exit(1)
}
