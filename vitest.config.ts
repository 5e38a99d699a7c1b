import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // The default leaves a core free: on two, one file after the other, and many files mostly wait for servers.
    maxWorkers: Math.min(8, Math.max(2, availableParallelism())),
  },
})
