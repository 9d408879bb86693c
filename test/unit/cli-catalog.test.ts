import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { noSuchProfile, profileNames, readCatalog } from '../../src/cli/profiles/catalog.ts';
import { readHead } from '../../src/cli/profiles/profile-head.ts';
import { appPaths } from '../../src/files/paths.ts';

describe('the head of a profile', () => {
  const rows: readonly (readonly [string, string, unknown])[] = [
    ['plain', 'description: POP3 mail\ntags: [mail, home]\n', { description: 'POP3 mail', tags: ['mail', 'home'] }],
    ['comments', 'description: POP3 # not IMAP\ntags: [a] # one\n', { description: 'POP3', tags: ['a'] }],
    ['a sharp sign inside a word', 'description: C#4\n', { description: 'C#4', tags: [] }],
    ['single quotes', "description: 'it''s: mine'\n", { description: "it's: mine", tags: [] }],
    ['double quotes', 'description: "a # b"\n', { description: 'a # b', tags: [] }],
    [
      'a block of tags',
      'tags:\n  - mail\n\n  # two\n  - "at home"\nvia: x\n',
      { description: '', tags: ['mail', 'at home'] },
    ],
    ['tags without indent', 'tags:\n- mail\n- home\nforwards: []\n', { description: '', tags: ['mail', 'home'] }],
    ['Windows line ends and a byte order mark', '\ufeffdescription: x\r\ntags: []\r\n', { description: 'x', tags: [] }],
    ['neither', 'forwards:\n  - 1:b:2\n', { description: '', tags: [] }],
    ['a nested description is another', 'hooks:\n  description: no\n', { description: '', tags: [] }],
  ];
  test.each(rows)('with %s', (_, text, expected) => {
    expect(readHead(text)).toEqual(expected);
  });
  test.each(rows)('with %s is what YAML makes of it', (_, text, expected) => {
    const { description = '', tags = [] } = parse(text) as { description?: string; tags?: string[] };
    expect({ description, tags }).toEqual(expected);
  });

  test.each([
    'description: |\n  two\n  lines\n',
    'description: >-\n  folded\n',
    'description: goes\n  on\n',
    'description: &anchor text\n',
    'description: "a\\tb"\n',
    'tags: [a,\n  b]\n',
    'tags: ["a, b"]\n',
    'tags: *others\n',
  ])('is left to a parser in %j', (text) => {
    expect(readHead(text)).toBeUndefined();
  });
});

describe('the catalog', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tunnel-catalog-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function write(path: string, text: string): Promise<string> {
    const file = join(root, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    return file;
  }
  function paths(): ReturnType<typeof appPaths> {
    return appPaths({ env: { TUNNEL_HOME: join(root, 'home') }, platform: 'linux', home: root, uid: 0, tmp: root });
  }

  test('lists the own profiles and those of the working directory and above, which win', async () => {
    const own = await write('home/profiles/db.yaml', 'description: my own\n');
    await write('home/profiles/mail.yaml', 'description: hidden by the team\n');
    const team = await write('work/.tunnel/mail.yaml', 'description: |\n  of the team\ntags: [work]\n');
    const deep = join(root, 'work', 'a', 'b');
    await mkdir(deep, { recursive: true });
    expect(await readCatalog(paths(), deep)).toEqual([
      { name: 'db', file: own, shared: false, description: 'my own', tags: [] },
      { name: 'mail', file: team, shared: true, description: 'of the team\n', tags: ['work'] },
    ]);
  });

  test('lists by name what cannot be read, and leaves out what is no profile', async () => {
    await write('home/profiles/broken.yaml', 'description: [\n');
    await write('home/profiles/notes.txt', '');
    await write('home/profiles/Upper.yaml', '');
    await mkdir(join(root, 'home/profiles/folder.yaml'));
    await symlink('nowhere', join(root, 'home/profiles/dangling.yaml'));
    const listed = await readCatalog(paths(), root);
    expect(listed.map(({ name, description }) => [name, description])).toEqual([
      ['broken', ''],
      ['dangling', ''],
      ['folder', ''],
    ]);
  });

  test('is empty where nothing was ever written', async () => {
    expect([await readCatalog(paths(), root), profileNames(paths(), root)]).toEqual([[], []]);
  });
});

test('an unknown name comes with the one that was probably meant', () => {
  const { code, message, exit } = noSuchProfile('pop-mial', ['db', 'pop-mail']);
  expect({ code, message, exit }).toEqual({
    code: 'PROFILE_NOT_FOUND',
    message: 'Cannot find a profile pop-mial: did you mean `pop-mail`?',
    exit: 3,
  });
});
