import { Document, isCollection, isMap, isScalar, isSeq, parseDocument, visit, type Pair, type YAMLSeq } from 'yaml';
import type { ForwardSpec } from '../model/forward-spec.ts';
import type { Profile } from '../model/profile.ts';
import { writtenForward, writtenProfile, type Written } from './format.ts';

/** Lines stay as long as they are; a list is indented under its name, as people write it. */
const FORMAT = { lineWidth: 0, indentSeq: true, flowCollectionPadding: false, singleQuote: true } as const;

/** Where the JSON Schema lies beside this program: of the sources and of `dist` alike, docs is two folders up. */
const SCHEMA = new URL('../../docs/profile.schema.json', import.meta.url).href;

/**
 * A new profile's text, with the line that tells editors about the schema on top.
 * @param schema where the JSON Schema is: a URL, or a path from the profile's folder
 */
export function formatProfile(profile: Profile, schema: string = SCHEMA): string {
  const document = new Document(withoutUndefined(writtenProfile(profile)));
  visit(document, {
    // Lists of words read best in one line; those of forwards and servers do not.
    Seq: (_, seq, path) => {
      const name = nameOf(path.at(-1));
      if (name !== 'forwards' && name !== 'via') seq.flow = true;
    },
  });
  return `# yaml-language-server: $schema=${schema}\n${document.toString(FORMAT)}`;
}

/** Adds a forward at the end. @throws RangeError where the text is no profile to begin with, as all of these do */
export function addForward(text: string, forward: ForwardSpec): string {
  return edited(text, (document) => {
    const forwards = forwardsOf(document);
    const node = document.createNode(withoutUndefined(writtenForward(forward)));
    if (forwards === undefined) document.set('forwards', document.createNode([node]));
    else forwards.add(node);
  });
}

/** Puts a forward in the place of another; a comment beside the old one goes with it, those above it stay. */
export function replaceForward(text: string, index: number, forward: ForwardSpec): string {
  return edited(text, (document) => {
    const forwards = existing(document, index);
    const node = document.createNode(withoutUndefined(writtenForward(forward)));
    const old = forwards.items[index];
    const above = isNodeWithComment(old) ? old.commentBefore : undefined;
    if (above !== undefined) node.commentBefore = above;
    forwards.set(index, node);
  });
}

/** Removes a forward, counted from 0, with the comment beside it; one above the first stays, since it may speak of all. */
export function removeForward(text: string, index: number): string {
  return edited(text, (document) => {
    existing(document, index).delete(index);
  });
}

/** Sets a field at a path such as `['keepalive', 'interval']`; undefined removes it. */
export function setField(text: string, path: readonly (string | number)[], value: Written | undefined): string {
  return edited(text, (document) => {
    if (value === undefined) remove(document, path);
    else document.setIn(path, document.createNode(withoutUndefined(value)));
  });
}

/** Changes the text of a profile by its tree; lines, indentation and comments stay. @throws RangeError where it cannot be read */
export function edited(text: string, change: (document: Document.Parsed) => void): string {
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    uniqueKeys: false,
    logLevel: 'error',
  });
  if (document.errors.length > 0 || !isMap(document.contents)) {
    throw new RangeError('Only a profile that can be read can be changed');
  }
  change(document);
  const indent = indentOf(text);
  const changed = document.toString({
    ...FORMAT,
    indentSeq: !hasFlatLists(text),
    flowCollectionPadding: /[{[] /.test(text),

    ...(indent === undefined ? {} : { indent }),
  });
  return text.includes('\r\n') ? changed.replace(/\r?\n/g, '\r\n') : changed;
}

/** What stands above the first field speaks of the file (the schema line does): it moves to the next. */
function remove(document: Document.Parsed, path: readonly (string | number)[]): void {
  if (!document.hasIn(path)) return;
  const [first, second] = isMap(document.contents) ? document.contents.items : [];
  const leaving: unknown = first?.key;
  const staying: unknown = second?.key;
  const isFirst = path.length === 1 && isScalar(leaving) && leaving.value === path[0];
  if (isFirst && isScalar(staying) && typeof leaving.commentBefore === 'string') {
    const above = [leaving.commentBefore, staying.commentBefore].filter((text) => typeof text === 'string');
    staying.commentBefore = above.join(staying.spaceBefore === true ? '\n\n' : '\n');
    staying.spaceBefore = false;
  }
  document.deleteIn(path);
}

function forwardsOf(document: Document): YAMLSeq | undefined {
  const forwards = document.get('forwards');
  return isSeq(forwards) ? forwards : undefined;
}

function existing(document: Document, index: number): YAMLSeq {
  const forwards = forwardsOf(document);
  if (forwards === undefined || index < 0 || index >= forwards.items.length) {
    throw new RangeError(`There is no forward ${index + 1}`);
  }
  return forwards;
}

/** The steps by which the text is indented already. */
function indentOf(text: string): number | undefined {
  const first = /^( {2,8})\S/m.exec(text)?.[1]?.length;
  return first !== undefined && first % 2 === 0 ? first : undefined;
}

/** Whether lists stand at the level of their names: both are YAML, and what is there is kept. */
function hasFlatLists(text: string): boolean {
  return /^( *)[\w-]+:[ \t]*(?:#.*)?\r?\n(?:[ \t]*#.*\r?\n)*\1- /m.test(text);
}

function isNodeWithComment(node: unknown): node is { commentBefore?: string } {
  return isCollection(node) || (typeof node === 'object' && node !== null && 'commentBefore' in node);
}

function nameOf(parent: unknown): unknown {
  if (typeof parent !== 'object' || parent === null || !('key' in parent)) return undefined;
  const { key } = parent as Pair<{ readonly value?: unknown }>;
  return key.value;
}

/** YAML would write undefined as null. */
function withoutUndefined(value: Written | undefined): unknown {
  if (Array.isArray(value)) return value.map((item: Written) => withoutUndefined(item));
  if (typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    kept.map(([name, inner]: [string, Written | undefined]) => [name, withoutUndefined(inner)]),
  );
}
