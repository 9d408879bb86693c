import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/{unit,integration,e2e,root,interop}/**/*.test.ts'],
    // A hang is a failure, and soon (style: within 10 s); a test that waits out a promised delay says so itself.
    testTimeout: 10_000,
    hookTimeout: 20_000,
    pool: 'forks',
    // Most of a test's time is waiting for others: sshd, deadlines, a path that heals. One worker a core, and never one alone.
    maxWorkers: Math.max(2, availableParallelism()),
    passWithNoTests: false,
    allowOnly: false,
  },
});
