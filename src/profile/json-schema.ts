import * as z from 'zod';
import { NEEDED, ROWS, type Row } from './rows.ts';
import { profileSchema } from './schema.ts';

/**
 * The JSON Schema of a profile, for editors: draft 7, which the YAML language server reads. It says what may be
 * written; what the parser checks beyond that (an address, a duration's size) only the parser says.
 */
export function profileJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(profileSchema, {
    io: 'input',
    target: 'draft-7',
    override: ({ zodSchema, jsonSchema }) => {
      const row = ROWS.get(zodSchema);
      if (row !== undefined) jsonSchema.description = describe(row);
    },
  });
  const { $schema, ...rest } = schema;
  return { $schema, title: 'A profile of tunnel', ...rest };
}

function describe({ help, default: fallback }: Row): string {
  return fallback === NEEDED ? help : `${help} Default: ${fallback}.`;
}
