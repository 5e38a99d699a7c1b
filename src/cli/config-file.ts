/** Which configuration file a command means, and reading it with the faults told to people. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config, ConfigIssue } from '../config/config.ts'
import { issueLines } from '../config/format-issues.ts'
import { loadConfig } from '../config/load-config.ts'
import { readRealFile, type ReadFile } from '../config/read-file.ts'
import { parseSource } from '../providers/catalogue.ts'
import type { Io } from './command.ts'
import { wrap } from './terminal.ts'

export type ConfigPlace = {
  readonly path: string
  readonly overrides: { readonly listen?: string; readonly store?: string }
}

/** `-c FILE`, otherwise `ZHONGKONG_CONFIG`, otherwise `zhongkong.yaml` in this folder. */
export function configPath(io: Io, said: string | undefined): string {
  const named = said ?? io.environment.ZHONGKONG_CONFIG
  return resolve(io.directory, named === undefined || named === '' ? 'zhongkong.yaml' : named)
}

/** Somebody has written a configuration, or says that there is one. */
export function hasConfig(io: Io): boolean {
  return Boolean(io.environment.ZHONGKONG_CONFIG) || existsSync(join(io.directory, 'zhongkong.yaml'))
}

export async function readConfig(
  place: ConfigPlace,
  io: Io,
  readFile: ReadFile = readRealFile,
): Promise<{ readonly config: Config | null; readonly issues: readonly ConfigIssue[] }> {
  const { path, overrides } = place
  return await loadConfig({ path, environment: io.environment, parseSource, overrides, readFile })
}

export function printIssues(issues: readonly ConfigIssue[], io: Io): void {
  for (const line of issueLines(issues, io.language, (text) => wrap(text, io.columns - 2))) io.err(line)
}
