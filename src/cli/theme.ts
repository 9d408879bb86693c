/** Paints a piece of text by what it means; without colours each is the text itself. */
export interface Theme {
  readonly good: Paint;
  readonly bad: Paint;
  readonly warn: Paint;
  readonly dim: Paint;
  readonly strong: Paint;
}
export type Paint = (text: string) => string;

const same: Paint = (text) => text;

/** For pipes, files, NO_COLOR and tests. */
export const PLAIN: Theme = { good: same, bad: same, warn: same, dim: same, strong: same };

/** @param coloured false gives `PLAIN`, and loads no library: a pipe pays nothing for colours */
export async function theme(coloured: boolean): Promise<Theme> {
  if (!coloured) return PLAIN;
  const { Chalk } = await import('chalk');
  const chalk = new Chalk({ level: 1 }); // the 16 colours: those that the person chose for this terminal
  return {
    good: (text) => chalk.green(text),
    bad: (text) => chalk.red(text),
    warn: (text) => chalk.yellow(text),
    dim: (text) => chalk.dim(text),
    strong: (text) => chalk.bold(text),
  };
}

/** https://no-color.org: any non-empty NO_COLOR means none; TERM=dumb cannot show them. FORCE_COLOR asks for them on a pipe. */
export function wantsColour(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
  switchedOff: boolean,
): boolean {
  if (switchedOff || (env['NO_COLOR'] ?? '') !== '') return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined && forced !== '' && forced !== '0') return true;
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}
