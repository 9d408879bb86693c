import { expect, test } from 'vitest';
import { fitLines } from '../../src/cli/render/fit.ts';

const lines = ['NAME  STATE', 'a     up', 'b     failed', `  ${'why '.repeat(20)}`, 'c     up'];

// `status --watch` in a small window scrolled its own head away and showed the end of a hint.
test.each([
  [{ columns: 80, rows: 24 }, lines],
  [{ columns: 100, rows: 6 }, lines],
  [{ columns: 80, rows: 6 }, [...lines.slice(0, 3), '… 2 more lines']],
  [{ columns: 40, rows: 7 }, [...lines.slice(0, 3), '… 2 more lines']],
  [{ columns: 8, rows: 4 }, [lines[0], '… 4 more']],
  [{ columns: 80, rows: 1 }, ['… 5 more lines']],
])('a screen of %o shows the head, and how much it leaves out', (screen, shown) => {
  expect(fitLines(lines, screen)).toEqual(shown);
});

test('colours take no room', () => {
  const painted = ['\x1b[31mfailed\x1b[39m', '\x1b[32mup\x1b[39m'];
  expect(fitLines(painted, { columns: 6, rows: 3 })).toEqual(painted);
});
