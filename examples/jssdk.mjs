// Serves a page that gets the signature for its JS-SDK from zhongkong, without a key: its domain is listed under `domains`
// of the ticket, as the demo does for this one. Start the demo in one terminal (npm start), then: node examples/jssdk.mjs
// and open http://localhost:8890/. In WeChat, with your own account and domain, wx.config then succeeds.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'

const zhongkong = process.env.ZHONGKONG_URL ?? 'http://127.0.0.1:8888'
const name = process.argv[2] ?? 'weixin'
const port = Number(process.env.PORT ?? 8890)

const page = await readFile(new URL('jssdk.html', import.meta.url), 'utf8')
const settings = JSON.stringify({ zhongkong, name }).replaceAll('<', '\\u003c')

const server = createServer((request, response) => {
  const isPage = request.method === 'GET' && new URL(request.url, 'http://page').pathname === '/'
  response.writeHead(isPage ? 200 : 404, { 'content-type': 'text/html; charset=utf-8' })
  response.end(isPage ? page.replace("'SETTINGS'", () => settings) : 'not found')
})
server.listen(port, '127.0.0.1', () => console.log(`open http://localhost:${server.address().port}/`))
