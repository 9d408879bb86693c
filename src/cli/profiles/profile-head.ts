/** What `list`, the picker and completion show of a profile. */
export interface ProfileHead {
  readonly description: string;
  readonly tags: readonly string[];
}

/**
 * Reads `description` and `tags` off a profile's text line by line, so that a list of profiles needs no YAML parser.
 * @returns undefined where either is written in a way that only a YAML parser can tell (block scalars, anchors, flow
 *   lists over several lines, escapes): then the caller asks one
 */
export function readHead(text: string): ProfileHead | undefined {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  const description = topLevelValue(lines, 'description');
  const tags = topLevelTags(lines);
  if (description === undefined || tags === undefined) return undefined;
  return { description, tags };
}

/** '' where the key is missing; undefined where its value needs a parser. */
function topLevelValue(lines: readonly string[], key: string): string | undefined {
  const at = keyLine(lines, key);
  if (at < 0) return '';
  if (continues(lines[at + 1])) return undefined;
  return scalar((lines[at] ?? '').slice(key.length + 1));
}

function topLevelTags(lines: readonly string[]): string[] | undefined {
  const at = keyLine(lines, 'tags');
  if (at < 0) return [];
  const inline = stripComment((lines[at] ?? '').slice('tags:'.length));
  const written =
    inline === '' ? blockItems(lines.slice(at + 1)) : continues(lines[at + 1]) ? undefined : flowItems(inline);
  const items = written?.map(scalar);
  return items === undefined || items.some((item) => item === undefined)
    ? undefined
    : items.filter((item) => item !== undefined);
}

function keyLine(lines: readonly string[], key: string): number {
  return lines.findIndex((line) => line.startsWith(`${key}:`) && /^(?:\s|$)/.test(line.slice(key.length + 1)));
}

/** An indented line goes on with the value above it. */
function continues(line: string | undefined): boolean {
  return line !== undefined && /^\s+[^\s#]/.test(line);
}

function flowItems(text: string): string[] | undefined {
  const inner = /^\[([^[\]{}'"]*)\]$/.exec(text)?.[1];
  if (inner === undefined) return undefined;
  return inner.trim() === '' ? [] : inner.split(',');
}

function blockItems(lines: readonly string[]): string[] | undefined {
  const items: string[] = [];
  for (const line of lines) {
    const item = /^\s*-\s+(\S.*)$/.exec(line)?.[1];
    if (item !== undefined) items.push(item);
    else if (/^\s*(?:#.*)?$/.test(line)) continue;
    else return /^\s/.test(line) ? undefined : items;
  }
  return items;
}

/** One plain or quoted scalar on one line; undefined where it is neither. */
function scalar(text: string): string | undefined {
  const value = text.trim();
  const single = /^'((?:[^']|'')*)'(?:\s+#.*)?$/.exec(value)?.[1];
  if (single !== undefined) return single.replaceAll("''", "'");
  const double = /^"([^"\\]*)"(?:\s+#.*)?$/.exec(value)?.[1];
  if (double !== undefined) return double;
  const plain = stripComment(value);
  return /^[-?:,[\]{}&*!|>'"%@`]/.test(plain) || plain.includes(': ') ? undefined : plain;
}

/** YAML 1.2 section 6.6: a comment begins at the start or after white space. */
function stripComment(text: string): string {
  return text.replace(/(?:^|\s+)#.*$/, '').trim();
}
