/** Opens the store of an SQL server: the same for all kinds. */
import { attentive } from '../base/attentive-clock.ts'
import type { DatabaseUrl } from '../base/database-url.ts'
import type { Env } from '../base/env.ts'
import type { Text } from '../base/text.ts'
import { ServerEngine, type SqlServer } from './sql-server.ts'
import { createSqlStore } from './sql.ts'
import { storeMsMax, type Store } from './store.ts'

export type ServerStoreOptions = {
  readonly url: DatabaseUrl
  readonly env: Env
  /** Told of everything that was mended, and of settings that are dangerous, for the log. */
  readonly onNotice?: (notice: Text) => void
}

/** Makes its tables as needed. Throws only `ZhongkongError`, and leaves nothing open when it does. */
export async function openServerStore(options: ServerStoreOptions, serverOf: (env: Env) => SqlServer): Promise<Store> {
  const env = attentive(options.env)
  const engine = new ServerEngine({ ...options, env, server: serverOf(env) })
  try {
    await engine.run(() => Promise.resolve(), env.clock.monotonic() + storeMsMax)
  } catch (error) {
    await engine.close()
    throw error
  }
  return createSqlStore(engine, env.clock)
}
