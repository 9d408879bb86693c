import { cleanLine } from '../../model/clean.ts';
import type { Run } from '../command.ts';
import { explainedValues } from '../render/explained-values.ts';
import { explanationLines } from '../render/explanation.ts';

/** `tunnel explain NAME`: every effective value, and what it came from. */
export const run: Run = async ([argument = ''], _options, context) => {
  const { explainProfile } = await import('../../compose-cli.ts');
  const { out, json } = context;
  const { plan, origins, lines } = await explainProfile(argument, context);
  const values = explainedValues(plan, origins, lines);
  const { name, file, warnings } = plan;
  if (json) return out.json({ version: 1, name, file, values, warnings });
  for (const line of explanationLines(plan, values, out.theme)) out.data(line);
  for (const warning of warnings) out.warn(out.talkTheme.warn(cleanLine(warning)));
};
