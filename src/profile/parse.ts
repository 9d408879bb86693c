import type { Problem } from '../model/failure.ts';
import { nearest } from '../model/nearest.ts';
import { bindsOverlap } from '../model/overlap.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import { mapProtocol, type ForwardSpec } from '../model/forward-spec.ts';
import type { Profile } from '../model/profile.ts';
import { mistakesOf, type Mistake } from './mistakes.ts';
import { profileSchema, readsProfile } from './schema.ts';
import { forward } from './schema-forward.ts';
import { secretsWithin } from './secrets-within.ts';
import { readYaml, type Path, type Position, type YamlTree } from './yaml-tree.ts';

/** A profile and where each of its values stands, or everything that is wrong with it, in the order of the file. */
export type ParsedProfile =
  | { readonly ok: true; readonly profile: Profile; readonly lines: ProfileLines }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Looks up the place of a value by its path, such as `['via', 0, 'port']`; of its nearest parent where it is absent. */
export type ProfileLines = (path: Path) => Position;

/**
 * Reads a profile. Never throws, whatever the text: one problem a line for YAML, every problem at once for the rest.
 * @param file shown in the problems, and nothing else
 */
export function parseProfile(text: string, file: string): ParsedProfile {
  const tree = readYaml(text);
  const spoiled = new Set(tree.mistakes.map(({ line }) => line));
  const problems = tree.mistakes.map((mistake): Problem => ({ file, ...mistake }));
  if (!tree.usable) return { ok: false, problems };
  if (isEmpty(tree)) return { ok: false, problems: [{ file, line: 1, column: 1, message: EMPTY }] };
  const result = profileSchema.safeParse(tree.data);
  const mistakes = [
    ...(result.error === undefined ? [] : mistakesOf(result.error.issues, tree.data)),
    ...acrossForwards(tree.data),
  ];
  for (const mistake of withSecretsFirst(mistakes, secretsWithin(tree.data))) {
    const place = mistake.at === 'name' ? tree.nameAt(mistake.path) : tree.valueAt(mistake.path);
    if (!spoiled.has(place.line)) problems.push({ file, ...place, message: mistake.message });
  }
  if (problems.length > 0 || !result.success) return { ok: false, problems: problems.sort(byPlace) };
  return { ok: true, profile: readsProfile(result.data), lines: (path) => tree.valueAt(path) };
}

const EMPTY = 'the file is empty: a profile needs at least `forwards`';

function isEmpty(tree: YamlTree): boolean {
  return tree.mistakes.length === 0 && (tree.data === null || tree.data === undefined);
}

/** A secret is an unknown field as well: the refusal says it, with the way to do it right. Everything is said once. */
function withSecretsFirst(mistakes: readonly Mistake[], secrets: readonly Mistake[]): Mistake[] {
  const paths = new Set(secrets.map(({ path }) => JSON.stringify(path)));
  const others = mistakes.filter(({ path }) => !paths.has(JSON.stringify(path)));
  return [...new Map([...secrets, ...others].map((mistake) => [JSON.stringify(mistake), mistake])).values()];
}

/** What is wrong between forwards, or between them and the rest. */
function acrossForwards(data: unknown): Mistake[] {
  if (typeof data !== 'object' || data === null) return [];
  const written: unknown = Reflect.get(data, 'forwards');
  if (!Array.isArray(written)) return [];
  const read = written.map((entry) => forward.safeParse(entry).data ?? forward.safeParse(essence(entry)).data);
  const open = written.flatMap((entry, index) => openedByMistake(entry, ['forwards', index]));
  return [
    ...withoutServer(data, read),
    ...open,
    ...read.flatMap((spec, index) => (spec ? clashes(spec, index, read) : [])),
  ];
}

/** A local forward without the fields that may be wrong: where it binds is looked at all the same. */
function essence(entry: unknown): unknown {
  if (typeof entry !== 'object' || entry === null || !Object.hasOwn(entry, 'local')) return undefined;
  const { local, name, gateway }: { local?: unknown; name?: unknown; gateway?: unknown } = entry;
  const allowed = gateway === true ? { gateway } : {};
  return { local, to: 'anywhere:1', ...allowed, ...(typeof name === 'string' ? { name } : {}) };
}

/** The checks of a forward wait until all of its fields can be read; an open door is told at once. */
function openedByMistake(entry: unknown, path: Path): Mistake[] {
  const issues = forward.safeParse(essence(entry)).error?.issues ?? [];
  const onDoor = issues.filter(({ code, path: [field] }) => code === 'custom' && field === 'local');
  return mistakesOf(onDoor, entry).map((mistake) => ({ ...mistake, path: [...path, ...mistake.path] }));
}

function withoutServer(data: object, read: readonly (ForwardSpec | undefined)[]): Mistake[] {
  const said = Object.keys(data).some((name) => nearest(name, ['via']) !== undefined); // or meant to be
  if (said || !read.some((spec) => spec !== undefined && spec.kind !== 'relay')) return [];
  const message = '`via` is missing: these forwards need an SSH server, such as alice@pop.example.org';
  return [{ path: ['via'], at: 'value', message }];
}

function clashes(spec: ForwardSpec, index: number, read: readonly (ForwardSpec | undefined)[]): Mistake[] {
  const path: Path = ['forwards', index];
  return read.slice(0, index).flatMap((other, earlier): Mistake[] => {
    if (other === undefined) return [];
    const found: Mistake[] = [];
    if (listensThere(spec) === listensThere(other) && bindsOverlap(spec.bind, other.bind)) {
      const message = `binds ${formatEndpoint(spec.bind)}, which entry ${earlier + 1} of \`forwards\` binds already`;
      found.push({ path, at: 'value', message });
    }
    if (sameWish(spec, other)) {
      const message = `asks the router for port ${spec.map?.port ?? 0}, as entry ${earlier + 1} of \`forwards\` does already`;
      found.push({ path: [...path, 'map'], at: 'value', message });
    }
    if (spec.name !== undefined && spec.name === other.name) {
      found.push({
        path: [...path, 'name'],
        at: 'value',
        message: `the name \`${spec.name}\` is taken by entry ${earlier + 1} of \`forwards\``,
      });
    }
    return found;
  });
}

/** One port of the router leads to one place. */
function sameWish(spec: ForwardSpec, other: ForwardSpec): boolean {
  return spec.map !== undefined && spec.map.port === other.map?.port && mapProtocol(spec) === mapProtocol(other);
}

function listensThere(spec: ForwardSpec): boolean {
  return spec.kind === 'remote' || spec.kind === 'remote-socks';
}

function byPlace(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column;
}
