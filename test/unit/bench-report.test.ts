import { expect, test } from 'vitest';
import { renderAims } from '../bench/aims.ts';
import { renderLevers } from '../bench/lever-table.ts';
import { renderTable, type Series } from '../bench/report.ts';

function aSeries(rounds: Series['rounds'], more = true): Series {
  return { measure: 'download', unit: 'MB/s', more, rounds };
}

test.each([
  [[109], true, '1.09, no difference'],
  [[91], true, '0.91, no difference'],
  [[111], true, '1.11, better'],
  [[111], false, '1.11, worse'],
  [[89], true, '0.89, worse'],
  [[70, 200, 120], true, '1.20, better'],
])('a run of %j beside 100 reads as a difference only from 10 %% on (more is better: %s)', (values, more, verdict) => {
  const table = renderTable([aSeries({ tunnel: values, ssh: [100, 100, 100] }, more)], ['tunnel', 'ssh'], 'ssh');

  expect(table.split('\n')[2]?.split(' | ').at(-1)).toBe(`${verdict} |`);
});

test('an aim is judged by the figure that is shown, for each Node by its own bound', () => {
  const found = (ratio: number) => ({ near: { 'download, 1 stream': { value: 800, ratio } } });

  expect(renderAims({ 20: found(0.946), 24: found(0.96) })).toBe(
    [
      '| aim | Node 20 | Node 24 |',
      '| --- | --- | --- |',
      '| download, 1 stream | 0.95, at least 0.95: met | 0.96, at least 1: **missed** |',
    ].join('\n'),
  );
});

test('aims of which nothing was measured are left out', () => {
  expect(renderAims({ 20: {} })).toBeUndefined();
});

test('a lever without which nothing changed, or whose rounds disagree, is named beneath the table', () => {
  const series = [aSeries({ 'all on': [100, 100, 100], padding: [103, 99], slab: [80, 60], turns: [130, 90, 140] })];

  expect(
    renderLevers(['slab', 'padding', 'turns', 'not measured'], [{ kind: 'figure', series }], 'all on').split('\n'),
  ).toEqual([
    '| without | load | all on | figure |',
    '| --- | --- | --- | --- |',
    '| slab | download | 100 MB/s | 0.80 (0.60–0.80), worse |',
    '| padding | download | 100 MB/s | 1.03 (0.99–1.03) |',
    '| turns | download | 100 MB/s | 1.30 (0.90–1.40) |',
    '',
    'No difference of 10 % or more, in all rounds, in any of their loads: padding, turns.',
  ]);
});
