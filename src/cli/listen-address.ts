/** Where a server listens, and what people are told when it cannot. */
import { CliFault } from './fault.ts'

/** `where` with another port; a unix socket has none. */
export function withPort(where: string, port: number | undefined): string {
  return port === undefined || where.startsWith('unix:') ? where : where.replace(/:\d+$/, `:${port}`)
}

/** What to do when the address cannot be had. */
export function listenFault(where: string, thrown: unknown): unknown {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : null
  if (code === 'EADDRINUSE') {
    return new CliFault(
      1,
      { en: `${where} is in use by another program`, zh: `${where} 已被其他程序占用` },
      { en: 'Choose another port: --listen 127.0.0.1:9000', zh: '请换一个端口：--listen 127.0.0.1:9000' },
      thrown,
    )
  }
  if (code === 'EACCES') {
    return new CliFault(
      1,
      { en: `this user may not listen on ${where}`, zh: `当前用户无权监听 ${where}` },
      { en: 'Choose a port above 1023.', zh: '请选择 1023 以上的端口。' },
      thrown,
    )
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new CliFault(
      1,
      { en: `${where} is no address of this machine`, zh: `${where} 不是本机的地址` },
      { en: 'Check server.listen.', zh: '请检查 server.listen。' },
      thrown,
    )
  }
  return thrown
}
