import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'parts',
          include: ['test/{unit,integration}/**/*.test.ts'],
          // A hang is a failure, and soon (style: within 10 s); a test that waits out a promised delay says so itself.
          testTimeout: 10_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'whole',
          include: ['test/{e2e,root,interop}/**/*.test.ts'],
          testTimeout: 30_000, // each starts several processes, on cores that may be busy with others
        },
      },
    ],
    hookTimeout: 20_000,
    pool: 'forks',
    // Most of a test's time is waiting for others: sshd, deadlines, a path that heals. One worker a core, and never one alone.
    maxWorkers: Math.max(2, availableParallelism()),
    passWithNoTests: false,
    allowOnly: false,
  },
});
