/** Loads the driver of a database: an optional package, asked for only when the store's URL wants it. */
import { ZhongkongError } from '../base/errors.ts'

/** The package, with its default export taken off. Throws `dependency_missing` with the command that installs it. */
export async function loadDriver(packageName: string): Promise<unknown> {
  try {
    const module: unknown = await import(packageName)
    return typeof module === 'object' && module !== null && 'default' in module ? module.default : module
  } catch (error) {
    throw new ZhongkongError('dependency_missing', `this store needs the package ${packageName}, which is not there`, {
      cause: error,
      hint: { en: `Run "npm install ${packageName}".`, zh: `请执行 "npm install ${packageName}"。` },
    })
  }
}
