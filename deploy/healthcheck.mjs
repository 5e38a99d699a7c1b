// For the container's HEALTHCHECK: exit code 0 when the server of this container can serve. Another port or TLS is told
// by HEALTH_URL.
const url = process.env.HEALTH_URL ?? 'http://127.0.0.1:8888/readyz'
try {
  const { ok } = await fetch(url, { signal: AbortSignal.timeout(2_000) })
  process.exit(ok ? 0 : 1)
} catch {
  process.exit(1)
}
