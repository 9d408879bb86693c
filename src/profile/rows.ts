import * as z from 'zod';
import { didYouMean } from '../model/nearest.ts';

/** What the schema says of one field, for help, the wizard, the reference page and editors. */
export interface Row {
  /** What stands there, in a few words: `duration`, `number`, `list of file paths`. */
  readonly type: string;
  /** One sentence. */
  readonly help: string;
  readonly unit?: string;
  /** What holds where the field is absent, as a person would write or say it. */
  readonly default: string;
  /** A value as it stands in a profile. */
  readonly example?: string;
}

/** The rows, by the schema that they describe. */
export const ROWS = z.registry<Row>();

/** One optional field with its row. */
export function field<T extends z.ZodType>(schema: T, row: Row): z.ZodOptional<T> {
  const optional = schema.optional();
  ROWS.add(optional, row);
  return optional;
}

/** What stands for the default of a field that must be there. */
export const NEEDED = 'needed';

/** One field that must be there, with its row. A copy carries the row, since several fields share one schema of values. */
export function needed<T extends z.ZodType>(schema: T, row: Omit<Row, 'default'>): T {
  const own = schema.clone();
  ROWS.add(own, { ...row, default: NEEDED });
  return own;
}

/**
 * An object whose unknown fields are errors. The message of such an issue has one line for each unknown field, in the
 * order of its `keys`, with the nearest of the names that are known here.
 */
export function fields<T extends z.core.$ZodLooseShape>(shape: T): z.ZodObject<T, z.core.$strict> {
  const names = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField(key, names)).join('\n');
      return issue.code === 'invalid_type' ? `must be fields of its own${exampleOf(shape)}` : undefined;
    },
  });
}

/** As it would stand in a profile: `, such as { interval: 15s, maxMissed: 3 }`; the first two say enough. */
function exampleOf(shape: z.core.$ZodLooseShape): string {
  const examples = Object.entries(shape).flatMap(([name, schema]) => {
    const example = schema instanceof z.ZodType ? ROWS.get(schema)?.example : undefined;
    return example === undefined ? [] : [`${name}: ${example}`];
  });
  return examples.length === 0 ? '' : `, such as { ${examples.slice(0, 2).join(', ')} }`;
}

function unknownField(key: string, names: readonly string[]): string {
  const shown = key.replace(/[\r\n]+/g, ' ');
  if (key === '<<') return 'YAML merge keys (`<<`) are not read: write the fields out';
  return `unknown field \`${shown}\`${didYouMean(key, names) || `: known here are ${names.join(', ')}`}`;
}
