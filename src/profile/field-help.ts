import * as z from 'zod';
import { ROWS, type Row } from './rows.ts';
import { profileSchema } from './schema.ts';
import { forwardFields } from './schema-forward.ts';
import { hopFields } from './schema-hop.ts';

/** One field as the wizard, the help and the reference page show it. */
export interface FieldHelp extends Row {
  /** Names from the top, with dots: `keepalive.interval`, `via.host`, `forwards.local`. */
  readonly path: string;
}

/**
 * The row of a field by its path. Entries of lists are not counted: `via.identity`, `forwards.expect`; where several
 * kinds of forward have a field, the first kind that has it speaks.
 * @returns undefined for what is no field
 */
export function fieldHelp(path: string): FieldHelp | undefined {
  return allFields().find((field) => field.path === path);
}

/** Every field once, in the order of the schema, those of an object right after it. */
export function allFields(): readonly FieldHelp[] {
  return within(profileSchema, '');
}

/** The fields of an entry of `via`, and of each kind of forward. */
export function hopHelp(): readonly FieldHelp[] {
  return within(hopFields, 'via.');
}
export function forwardHelp(kind: keyof typeof forwardFields): readonly FieldHelp[] {
  return within(forwardFields[kind], 'forwards.');
}

function within(object: z.ZodObject, prefix: string): FieldHelp[] {
  const found = Object.entries<z.core.$ZodType>(object.shape).flatMap(([name, schema]) => {
    const path = prefix + name;
    const row = ROWS.get(schema);
    const inner = objectsIn(schema).flatMap((child) => within(child, `${path}.`));
    return row === undefined ? inner : [{ path, ...row }, ...inner];
  });
  return found.filter(({ path }, index) => found.findIndex((other) => other.path === path) === index);
}

/** The objects that a value may be, seen through lists, choices, options and what transforms them. */
function objectsIn(schema: z.core.$ZodType): z.ZodObject[] {
  if (schema instanceof z.ZodObject) return [schema];
  if (schema instanceof z.ZodOptional) return objectsIn(schema.unwrap());
  if (isArray(schema)) return objectsIn(schema.element);
  if (schema instanceof z.ZodPipe) return objectsIn(schema.in);
  return isUnion(schema) ? schema.options.flatMap((option) => objectsIn(option)) : [];
}

/** `instanceof` alone would leave the types inside open. */
function isArray(schema: z.core.$ZodType): schema is z.ZodArray {
  return schema instanceof z.ZodArray;
}

function isUnion(schema: z.core.$ZodType): schema is z.ZodUnion {
  return schema instanceof z.ZodUnion;
}
