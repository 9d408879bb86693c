import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type YAMLError,
} from 'yaml';
import { cleanLine } from '../model/clean.ts';

/** A place in the text; both count from 1, columns in UTF-16 units as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export type PathKey = string | number;
export type Path = readonly PathKey[];

/** A mistake in the text at a place. */
export interface TextMistake extends Position {
  readonly message: string;
}

/** The text as plain data, with the place of each value and of each field's name. */
export interface YamlTree {
  /** Scalars, arrays and objects without a prototype. Undefined where nothing could be read. */
  readonly data: unknown;
  readonly mistakes: readonly TextMistake[];
  /** True where what was read is worth checking, mistakes or not. */
  readonly usable: boolean;
  /** The place of the value at a path, else of its nearest parent that is there. */
  valueAt(path: Path): Position;
  /** The place of the name of the field at a path, else of its value. */
  nameAt(path: Path): Position;
}

/** Deepest nesting and most values of a profile: several times what the richest one has; past it the file is no profile. */
const DEEPEST = 32;
const MOST_VALUES = 50_000;

/** Most characters that are parsed. */
const LONGEST_TEXT = 1024 * 1024;

/** Most errors of the parser that are told: what has more is no profile, and nobody would read them. */
const MOST_ERRORS = 50;

/** Reads YAML 1.2 without ever throwing: whatever is wrong with the text is among the mistakes, each in one line. */
export function readYaml(text: string): YamlTree {
  const early = tooHostile(text);
  if (early !== undefined) return unreadable(early);
  const lines = new LineCounter();
  const document = parseOrMistake(text, lines);
  if (!('contents' in document)) return unreadable(document);
  const errors = [...document.errors, ...document.warnings];
  const walk = new Walk(document, lines, text.split('\n'));
  const data = walk.plain(document.contents, [], 0);
  return {
    data,
    mistakes: firstOfEachLine([...walk.parserMistakes(errors.slice(0, MOST_ERRORS)), ...walk.mistakes]),
    // A short form that wants quotes spoils its own line only; after other errors the rest may be misread.
    usable: errors.every((error) => walk.hasAdvice(error)),
    valueAt: (path) => nearestPlace(walk.values, path),
    nameAt: (path) => walk.names.get(keyOf(path)) ?? nearestPlace(walk.values, path),
  };
}

/** What must not even be parsed. */
function tooHostile(text: string): TextMistake | undefined {
  if (text.length > LONGEST_TEXT)
    return { line: 1, column: 1, message: 'the file is larger than 1 MiB: this is no profile' };
  const control = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/.exec(text);
  if (control !== null) {
    return { ...placeOf(text, control.index), message: `has the control character ${cleanLine(control[0])} in it` };
  }
  return tooManySigns(text);
}
const TOO_DEEP = `nests deeper than ${DEEPEST} levels: this is no profile`;
const TOO_MUCH = `holds more than ${MOST_VALUES} values: this is no profile`;

/**
 * Where signs of structure nest or mount up beyond all reason. It counts without reading quotes: the parser itself
 * recurses, and takes seconds for a megabyte of brackets, so it must not be given them.
 */
function tooManySigns(text: string): TextMistake | undefined {
  const indicators = /(?:[-?:][ \t]+){40}/.exec(text);
  if (indicators !== null) return { ...placeOf(text, indicators.index), message: TOO_DEEP };
  let depth = 0;
  let signs = 0;
  for (let index = 0; index < text.length; index += 1) {
    const sign = text.charAt(index);
    if (sign === '[' || sign === '{') depth += 1;
    else if (sign === ']' || sign === '}') depth = Math.max(0, depth - 1);
    if ('[]{},&*!"\'%\n'.includes(sign)) signs += 1;
    if (depth > 200) return { ...placeOf(text, index), message: TOO_DEEP };
    if (signs > MOST_VALUES) return { ...placeOf(text, index), message: TOO_MUCH };
  }
  return undefined;
}

function parseOrMistake(text: string, lineCounter: LineCounter): Document | TextMistake {
  try {
    return parseDocument(text, {
      version: '1.2',
      schema: 'core',
      lineCounter,
      uniqueKeys: false, // the walk looks itself: the parser compares each key with all before it
      merge: false,
      prettyErrors: false,
      logLevel: 'error',
      resolveKnownTags: false,
    });
  } catch (error) {
    // The composer recurses: block nesting that the early look let through ends in a RangeError of the stack.
    const message = error instanceof RangeError ? TOO_DEEP : `cannot be read as YAML: ${cleanLine(String(error), 200)}`;
    return { line: 1, column: 1, message };
  }
}

/** Turns nodes into plain data, expanding aliases within bounds and remembering where everything stood. */
class Walk {
  readonly values = new Map<string, Position>();
  readonly names = new Map<string, Position>();
  readonly mistakes: TextMistake[] = [];
  readonly #document: Document;
  readonly #counter: LineCounter;
  readonly #lines: readonly string[];
  #count = 0;

  constructor(document: Document, counter: LineCounter, lines: readonly string[]) {
    this.#document = document;
    this.#counter = counter;
    this.#lines = lines;
  }

  /** The parser's errors in our words where there are better ones. */
  parserMistakes(errors: readonly YAMLError[]): TextMistake[] {
    return errors.map((error) => {
      const place = this.#at(error.pos[0]);
      return { ...place, message: this.#advice(place) ?? WORDS[error.code] ?? cleanLine(error.message, 200) };
    });
  }

  plain(node: unknown, path: Path, depth: number): unknown {
    this.#count += 1;
    if (!isNode(node)) return null;
    this.values.set(keyOf(path), this.#place(node));
    if (depth > DEEPEST) return this.#refuse(node, TOO_DEEP);
    if (this.#count > MOST_VALUES) return this.#refuse(node, TOO_MUCH);
    if (node.tag !== undefined && hasWrittenTag(node))
      return this.#refuse(node, 'YAML tags (`!…`) are not read: remove it');
    if (isAlias(node)) return this.#alias(node, path, depth);
    if (isSeq(node)) return node.items.map((item, index) => this.plain(item, [...path, index], depth + 1));
    if (isMap(node)) return this.#map(node.items, path, depth);
    return isScalar(node) ? plainScalar(node.value) : null;
  }

  #alias(node: Node & { resolve(document: Document): Node | undefined }, path: Path, depth: number): unknown {
    const here = this.#place(node);
    const source = node.resolve(this.#document);
    if (source === undefined) {
      return this.#refuse(
        node,
        this.#advice(here) ?? 'a leading * makes this a YAML alias of nothing: put it in quotes',
      );
    }
    const data = this.plain(source, path, depth + 1);
    this.values.set(keyOf(path), here);
    return data;
  }

  #map(pairs: readonly { readonly key: unknown; readonly value: unknown }[], path: Path, depth: number): unknown {
    const data: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
    for (const { key, value } of pairs) {
      if (this.#count > MOST_VALUES) break;
      const name = isScalar(key) ? key.value : undefined;
      if (typeof name !== 'string') {
        this.#refuse(isNode(key) ? key : value, 'a field must have a name in plain text before its colon');
        continue;
      }
      if (Object.hasOwn(data, name)) {
        this.#refuse(key, `field \`${cleanLine(name, 80)}\` is there twice`);
        continue;
      }
      const inner = [...path, name];
      this.names.set(keyOf(inner), this.#place(key));
      data[name] = this.plain(value, inner, depth + 1);
      if (!isNode(value)) this.values.set(keyOf(inner), this.#place(key));
    }
    return data;
  }

  #refuse(node: unknown, message: string): null {
    const place = this.#place(node);
    // One line is enough for a bomb: the first of a kind speaks for all.
    if (!this.mistakes.some((mistake) => mistake.message === message && message.includes('no profile'))) {
      this.mistakes.push({ ...place, message });
    }
    return null;
  }

  #place(node: unknown): Position {
    return this.#at(isNode(node) ? (node.range?.[0] ?? 0) : 0);
  }

  #at(offset: number): Position {
    const { line, col } = this.#counter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Whether quotes around one value would heal it. */
  hasAdvice(error: YAMLError): boolean {
    return this.#advice(this.#at(error.pos[0])) !== undefined;
  }

  #advice({ line }: Position): string | undefined {
    return quoteAdvice(this.#lines[line - 1] ?? '');
  }
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

/** The parser names the tag of a node only where one was written. */
function hasWrittenTag(node: Node): boolean {
  return node.tag !== undefined && node.tag !== '!';
}

/** Values of the core schema; a number that a double cannot hold stays text to be refused by the schema. */
function plainScalar(value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function keyOf(path: Path): string {
  return JSON.stringify(path);
}

function nearestPlace(places: ReadonlyMap<string, Position>, path: Path): Position {
  for (let length = path.length; length >= 0; length -= 1) {
    const place = places.get(keyOf(path.slice(0, length)));
    if (place !== undefined) return place;
  }
  return { line: 1, column: 1 };
}

function unreadable(mistake: TextMistake): YamlTree {
  const top = () => ({ line: 1, column: 1 });
  return { data: undefined, mistakes: [mistake], usable: false, valueAt: top, nameAt: top };
}

function placeOf(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: offset - lineStart + 1 };
}

/** One slip often makes the parser stumble several times on its line: the first says it. */
function firstOfEachLine(mistakes: readonly TextMistake[]): TextMistake[] {
  const lines = new Map<number, TextMistake>();
  for (const mistake of mistakes) if (!lines.has(mistake.line)) lines.set(mistake.line, mistake);
  return [...lines.values()];
}

const WORDS: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a profile is one YAML document: remove what follows the `---`',
  TAB_AS_INDENT: 'is indented by a tab: YAML wants spaces',
  TAG_RESOLVE_FAILED: 'YAML tags (`!…`) are not read: remove it',
  BAD_DIRECTIVE: 'YAML directives (`%…`) are not read: remove it',
};

/** YAML reads a leading [ as a list and a leading * as an alias, so these short forms need quotes. */
function quoteAdvice(line: string): string | undefined {
  const match = /^(\s*(?:-\s+)*(?:[\w-]+:\s+)?)((?:\[[0-9a-fA-F:.]*\]|\*):\S.*?)\s*(?:\s#.*)?$/.exec(line);
  if (match?.[2] === undefined) return undefined;
  return `put this in quotes, since YAML reads a leading ${match[2][0]} as a sign of its own: '${cleanLine(match[2], 120)}'`;
}
