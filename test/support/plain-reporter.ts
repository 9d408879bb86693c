import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run with one plain line that any reader of logs can count: `N passed, N failed, N skipped`. */
export default class PlainReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) {
        const state = test.result().state;
        count[state === 'pending' ? 'failed' : state] += 1;
      }
      // A file that could not even be loaded holds no test, and is a failure all the same.
      if (module.errors().length > 0) count.failed += 1;
    }
    count.failed += unhandledErrors.length;
    process.stdout.write(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`);
  }
}
