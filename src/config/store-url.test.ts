/** What of a store's URL may be shown. */
import { expect, test } from 'vitest'
import { holdsPassword, shownStore } from './store-url.ts'

test.each([
  ['sqlite:/data/a@b.db', 'sqlite:/data/a@b.db'],
  ['postgres://db1,db2:5433/tokens?sslmode=require', 'postgres://db1,db2:5433/tokens?sslmode=require'],
  ['postgres://zk:hunter2@db/tokens', 'postgres://***@db/tokens'],
  ['redis://:hunter2/?@hunter2@db:6379/0', 'redis://***@db:6379/0'],
  ['redis+sentinel://a,b/m?sentinel_password=hunter2&wait=1', 'redis+sentinel://a,b/m?sentinel_password=***&wait=1'],
  ['postgres://db/t?listen=postgres%3A%2F%2Fzk%3Ahunter2%40db%2Ft', 'postgres://db/t?listen=***'],
])('%s is shown as %s', (url, shown) => {
  expect(shownStore(url)).toBe(shown)
  expect(holdsPassword(url)).toBe(url.includes('hunter2'))
})
