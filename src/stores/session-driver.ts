/** What the store needs of a transaction on one connection, beyond what kysely's drivers do. */
import type { Driver } from 'kysely'
import { CommitUnknown } from './sql-failure.ts'

export type SessionDriverOptions = {
  /** True when the server itself says that the commit did not happen. */
  readonly isCommitRefused: (error: unknown) => boolean
  /** Ends the connection. */
  readonly cut: () => void
}

/** The same driver, whose failed commits are told apart by their fate, and whose connection ends when it cannot go back. */
export function sessionDriver<D extends Driver>(driver: D, { isCommitRefused, cut }: SessionDriverOptions): D {
  const commit = driver.commitTransaction.bind(driver)
  const rollback = driver.rollbackTransaction.bind(driver)
  driver.commitTransaction = async (connection) => {
    try {
      await commit(connection)
    } catch (error) {
      throw isCommitRefused(error) ? error : new CommitUnknown(error)
    }
  }
  driver.rollbackTransaction = async (connection) => {
    try {
      await rollback(connection)
    } catch {
      // The first failure is the one to tell. A connection that cannot go back is of no use.
      cut()
    }
  }
  return driver
}
