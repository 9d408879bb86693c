/**
 * `npm run build`: `dist` from `src`. Declarations come from tsc, for whoever imports the library; the program is joined
 * into few files, as finding and reading some fifty of them took most of the time of `tunnel status`, and they are
 * CommonJS, as Node 20 takes 4 ms more for the first ES module that it reads (docs/decisions/0009). Packages stay outside,
 * but for those of JavaScript alone whose 160 files took half the time of a supervisor's start: their licences go with them.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'rolldown';
import { packageVersion } from './src/files/own-package.ts';

const OUT = 'dist';

/** They stay dependencies: the declarations name their types. */
const JOINED = ['zod', 'yaml', '@noble/post-quantum', '@noble/curves', '@noble/hashes'];

/** Modules that are read together stand in one file, with all that they import at once: the first that fits counts. */
const FILES: readonly { readonly name: string; readonly roots: RegExp }[] = [
  // What scripts, prompts and shells run again and again; `ask` is what needs the supervisor's socket as well.
  { name: 'thin', roots: /src\/cli\/(main|commands\/(help|completion))\.ts$/ },
  { name: 'ask', roots: /src\/cli\/commands\/(status|list|version|wait|port)\.ts$/ },
  { name: 'verbs', roots: /src\/cli\/commands\/(up|down|restart|reload|daemon)\.ts$|src\/daemon\/spawn\.ts$/ },
  ...['zod', 'yaml', '@noble'].map((name) => ({
    name: name.replace('@', ''),
    roots: new RegExp(`node_modules/${name}/`),
  })),
  // What takes the home: all that comes after it is kept compiled.
  { name: 'home', roots: /src\/(cli\/up\/background|daemon\/main)\.ts$/ },
  {
    name: 'supervisor',
    roots: /src\/(compose|compose-secrets|cli\/up\/foreground|daemon\/(running-daemon|predecessor))\.ts$/,
  },
  { name: 'ssh', roots: /src\/ssh\/dial\.ts$/ },
];

const { output } = await build({
  input: { index: 'src/index.ts', 'cli/main': 'src/cli/main.ts' },
  platform: 'node',
  checks: { ineffectiveDynamicImport: false }, // a verb that is loaded when used may stand in a file with others
  external: (name) => !/^[./]/.test(name) && !JOINED.some((one) => name === one || name.startsWith(`${one}/`)),
  transform: { target: 'node20.19', define: { BUILT_VERSION: JSON.stringify(packageVersion()) } },
  output: {
    dir: OUT,
    format: 'cjs',
    strict: true,
    entryFileNames: '[name].cjs',
    chunkFileNames: 'chunks/[name]-[hash].cjs',
    sourcemap: true, // not read at start: `node --enable-source-maps` shows our own lines
    codeSplitting: { groups: FILES.map(({ name, roots }, at) => ({ name, test: roots, priority: FILES.length - at })) },
  },
});
// To whoever imports it the library is an ES module, over the same files as the program.
const library = output.find((file) => file.type === 'chunk' && file.name === 'index');
if (library?.type !== 'chunk') throw new Error('There is no library');
writeFileSync(
  join(OUT, 'index.js'),
  `import library from './${library.fileName}';\nexport const { ${library.exports.join(', ')} } = library;\n`,
);
const licences = JOINED.map((name) => `${name}\n\n${readFileSync(join('node_modules', name, 'LICENSE'), 'utf8')}`);
writeFileSync(join(OUT, 'LICENSES.txt'), `What dist/chunks holds of others:\n\n${licences.join('\n')}`);
const declared = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'src/tsconfig.json'], {
  stdio: 'inherit',
});
const written = new Set([...output.map(({ fileName }) => fileName), 'index.js']);
for (const file of readdirSync(OUT, { recursive: true, encoding: 'utf8' })) {
  // Of an earlier build: under a name that no file imports any more.
  if (/\.c?js(\.map)?$/.test(file) && !written.has(file)) rmSync(join(OUT, file));
}
process.exit(declared.status ?? 1);
