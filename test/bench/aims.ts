/** What the data path is to reach, and whether the last run did. */
import { markdown, short, type Facts } from './report.ts';

interface Aim {
  /** The section and the measure that it is read from. */
  readonly of: readonly [section: string, measure: string];
  readonly what: string;
  /** A ratio to the reference of its section, or the figure itself in its unit. */
  readonly as: 'ratio' | 'value';
  readonly at: 'least' | 'most';
  readonly bounds: { readonly 20: number; readonly 24: number };
}

type Row = readonly [measure: string, at: 'least' | 'most', on20: number, on24: number];

const NEAR: readonly Row[] = [
  ['download, 1 stream', 'least', 0.95, 1],
  ['upload, 1 stream', 'least', 1.15, 1.25],
  ['download, 16 streams', 'least', 1, 1.05],
  ['upload, 16 streams', 'least', 1.05, 1.3],
  ['upload, 64 streams', 'least', 1, 1.2],
  ['download, 1 stream: CPU of the client', 'most', 1.1, 1.1],
  ['upload, 1 stream: CPU of the client', 'most', 1.1, 1.1],
  ['download, 16 streams: CPU of the client', 'most', 1.1, 1.1],
  ['upload, 16 streams: CPU of the client', 'most', 1.1, 1.1],
  ['connect to first byte, warm, p50', 'most', 1.5, 1.25],
  ['connect to first byte, warm, p99', 'most', 2, 2],
  ['connections a second, 50 at once', 'least', 0.75, 0.95],
  ['ping-pong, p50', 'most', 1.05, 1.05],
  ['ping-pong beside a full upload, p99', 'most', 0.5, 0.5],
];
const DEFAULTS: readonly Row[] = [
  ['download, 1 stream', 'least', 1.3, 1.3],
  ['upload, 1 stream', 'least', 1.5, 1.5],
];
const FAR: readonly Row[] = [
  ['download, 1 stream', 'least', 10, 10],
  ['upload, 1 stream', 'least', 1, 1],
  ['upload, 16 streams', 'least', 1, 1],
];
const START: readonly Row[] = [
  ['tunnel up, cold', 'most', 1.5, 1.5],
  ['tunnel up, with a supervisor', 'most', 1, 1],
  ['tunnel, on demand', 'most', 1.2, 1.2],
];
/** MB, and a count. */
const MEMORY: readonly Row[] = [
  ['64 uploads into slow sinks, at most', 'most', 160, 160],
  ['5000 idle connections', 'most', 250, 250],
  ['5000 idle connections: refused', 'most', 0, 0],
];
/** Milliseconds on top of Node's own. */
const VERBS: readonly Row[] = ['status', 'list', '--help', '--version', 'completion'].map((verb) => [
  verb,
  'most',
  15,
  15,
]);

const AIMS: readonly Aim[] = [
  ...aims('near', 'ratio', NEAR, (measure) => measure),
  ...aims('defaults', 'ratio', DEFAULTS, (measure) => `${measure}, defaults`),
  ...aims('far', 'ratio', FAR, (measure) => `${measure}, 100 ms`),
  ...aims('start', 'ratio', START, (measure) => `${measure}: to first byte`),
  ...aims('memory', 'value', MEMORY, (measure) => `${measure}${measure.endsWith('refused') ? '' : ' (MB)'}`),
  ...aims('start', 'value', VERBS, (verb) => `${verb}: above Node’s own start (ms)`),
];

/** What each section of a run found, by section and measure. */
export type Findings = Readonly<Record<string, Facts>>;

/** The aims as a table, a column for each major of Node; undefined where none of them was measured. */
export function renderAims(runs: Readonly<Record<string, Findings>>): string | undefined {
  const majors = (['20', '24'] as const).filter((major) => runs[major] !== undefined);
  const rows = AIMS.map((aim) => [aim.what, ...majors.map((major) => cell(aim, major, runs[major] ?? {}))]);
  const told = rows.filter((row) => row.slice(1).some((one) => one !== NOT_MEASURED));
  if (told.length === 0) return undefined;
  return markdown(['aim', ...majors.map((major) => `Node ${major}`)], told);
}

const NOT_MEASURED = '–';

function cell({ of: [section, measure], as, at, bounds }: Aim, major: '20' | '24', findings: Findings): string {
  const found = findings[section]?.[measure]?.[as];
  if (found === undefined || found === null) return NOT_MEASURED;
  const bound = bounds[major];
  const shown = Number(short(found)); // what is read here and what is judged are one number
  const met = at === 'least' ? shown >= bound : shown <= bound;
  return `${short(found)}, at ${at} ${bound}: ${met ? 'met' : '**missed**'}`;
}

function aims(section: string, as: Aim['as'], rows: readonly Row[], name: (measure: string) => string): Aim[] {
  return rows.map(([measure, at, on20, on24]) => ({
    of: [section, measure],
    what: name(measure),
    as,
    at,
    bounds: { 20: on20, 24: on24 },
  }));
}
