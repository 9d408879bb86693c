import { fitLines } from './render/fit.ts';
import type { Theme } from './theme.ts';

/** The two streams of a command: stdout is data, stderr is talk. Lines are given without their newline. */
export interface Output {
  /** Colours for what goes to stdout. */
  readonly theme: Theme;
  /** Colours for what goes to stderr. */
  readonly talkTheme: Theme;
  /** Columns of stdout where it is a terminal; undefined elsewhere, and nothing is cut. */
  readonly columns: number | undefined;
  /** Data, for people: never under --json. */
  data(text: string): void;
  /** Data, for programs: one object, indented for the eye. */
  json(value: unknown): void;
  /** Data, for programs: one object of a stream, on one line. */
  jsonLine(value: unknown): void;
  /** Talk; silent under --quiet. */
  say(text: string): void;
  /** Talk that --quiet does not silence: warnings and errors. */
  warn(text: string): void;
  /** Talk that only -v shows. */
  detail(text: string): void;
  /** Clears the terminal that stdout is and writes there what fits, for `--watch`. */
  redraw(text: string): void;
  /** What happens when nobody reads stdout any more; the last one set counts. */
  onReaderGone(callback: () => void): void;
}

export interface OutputOptions {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly theme: Theme;
  readonly talkTheme: Theme;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

/** Home, then everything from there on erased: no flicker, and nothing of the scrollback is lost. */
const CLEAR = '\x1b[H\x1b[J';

/** Output to the given streams; it listens to their errors, so that a reader that goes away ends nothing by itself. */
export function streamOutput(options: OutputOptions): Output {
  const { stdout, stderr, theme, talkTheme, quiet, verbose } = options;
  const talk = (text: string): void => void stderr.write(`${text}\n`);
  const data = (text: string): void => void stdout.write(`${text}\n`);
  let readerGone = (): void => undefined;
  stdout.on('error', () => readerGone());
  stderr.on('error', () => undefined); // there is nobody left to tell
  return {
    theme,
    talkTheme,
    columns: stdout.isTTY ? stdout.columns : undefined,
    data,
    json: (value) => data(JSON.stringify(value, null, 2)),
    jsonLine: (value) => data(JSON.stringify(value)),
    say: (text) => (quiet ? undefined : talk(text)),
    warn: talk,
    detail: (text) => (verbose && !quiet ? talk(text) : undefined),
    redraw: (text) => {
      const { columns = 80, rows = 24 } = stdout; // asked each time: a window changes its size
      void stdout.write(`${CLEAR}${fitLines(text.split('\n'), { columns, rows }).join('\n')}\n`);
    },
    onReaderGone: (callback) => {
      readerGone = callback;
    },
  };
}
