import { NOISE, type Bar } from './report.ts';

/** The bars of one run. */
export interface Chart {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 900;
const LABELS = 330;
const ROW = 24;
const HEAD = 56;
/** Longer bars are cut: their figure stands beside them. */
const MOST = 3;
const SCALE = (WIDTH - LABELS - 80) / MOST;

/** An SVG of horizontal bars: how many times better than `ssh -L`, with a line where both are equal. */
export function renderChart(charts: readonly Chart[]): string {
  const rows = charts.reduce((sum, { bars }) => sum + bars.length * ROW + HEAD, 0);
  let top = 0;
  const parts = charts.map((chart) => {
    const drawn = renderOne(chart, top);
    top += chart.bars.length * ROW + HEAD;
    return drawn;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${rows}" font-family="sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${rows}" fill="#ffffff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function renderOne({ title, bars }: Chart, top: number): string {
  const equal = LABELS + SCALE;
  const bottom = top + HEAD + bars.length * ROW - 4;
  return [
    `<text x="12" y="${top + 24}" font-size="15" font-weight="bold">${title}: times better than ssh -L, same cipher</text>`,
    `<line x1="${equal}" y1="${top + HEAD - 10}" x2="${equal}" y2="${bottom}" stroke="#444" stroke-dasharray="4 3"/>`,
    `<text x="${equal}" y="${top + HEAD - 14}" text-anchor="middle" fill="#444">ssh -L</text>`,
    ...bars.map((bar, index) => renderBar(bar, top + HEAD + index * ROW)),
  ].join('\n');
}

function renderBar({ measure, better }: Bar, y: number): string {
  const width = Math.min(better, MOST) * SCALE;
  return [
    `<text x="${LABELS - 10}" y="${y + 13}" text-anchor="end">${measure}</text>`,
    `<rect x="${LABELS}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 7}" fill="${colour(better)}"/>`,
    `<text x="${(LABELS + width + 6).toFixed(1)}" y="${y + 13}">${better.toFixed(2)}</text>`,
  ].join('\n');
}

/** Better, no difference, worse: told apart by anybody's eyes. */
function colour(better: number): string {
  if (Math.abs(better - 1) < NOISE) return '#9aa5b1';
  return better > 1 ? '#2b7a9e' : '#c9772b';
}
