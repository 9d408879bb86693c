/**
 * `npm run build`: `dist` from `src`. Declarations come from tsc, for whoever imports the library; the program is joined
 * into few files, as finding and reading some fifty of them took most of the time of `tunnel status`
 * (docs/decisions/0009). Packages stay outside, but for those of JavaScript alone whose 160 files took half the time of a
 * supervisor's start: their licences go with them.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'rolldown';

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

/**
 * An ESM import of a module of Node's own reads every one of its properties, and some are modules behind a getter:
 * `node:fs` so loads `fs/promises` with `readline`, for 4 ms of every start. Asked for this way it loads itself alone.
 */
function takeBuiltinsPlainly(code: string): string {
  return code.replace(/^import \{ (.+) \} from "(node:[a-z_/0-9]+)";$/gm, (_, names: string, builtin: string) => {
    return `const { ${names.replace(/ as /g, ': ')} } = process.getBuiltinModule("${builtin}");`;
  });
}

const { output } = await build({
  input: { index: 'src/index.ts', 'cli/main': 'src/cli/main.ts' },
  platform: 'node',
  checks: { ineffectiveDynamicImport: false }, // a verb that is loaded when used may stand in a file with others
  external: (name) => !/^[./]/.test(name) && !JOINED.some((one) => name === one || name.startsWith(`${one}/`)),
  transform: { target: 'node20.19' },
  output: {
    dir: OUT,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    sourcemap: true, // not read at start: `node --enable-source-maps` shows our own lines
    codeSplitting: { groups: FILES.map(({ name, roots }, at) => ({ name, test: roots, priority: FILES.length - at })) },
  },
  plugins: [{ name: 'builtins', renderChunk: (code) => ({ code: takeBuiltinsPlainly(code), map: null }) }],
});
const licences = JOINED.map((name) => `${name}\n\n${readFileSync(join('node_modules', name, 'LICENSE'), 'utf8')}`);
writeFileSync(join(OUT, 'LICENSES.txt'), `What dist/chunks holds of others:\n\n${licences.join('\n')}`);
const declared = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'src/tsconfig.json'], {
  stdio: 'inherit',
});
const written = new Set(output.map(({ fileName }) => fileName));
for (const file of readdirSync(OUT, { recursive: true, encoding: 'utf8' })) {
  // Of an earlier build: under a name that no file imports any more.
  if (/\.js(\.map)?$/.test(file) && !written.has(file)) rmSync(join(OUT, file));
}
process.exit(declared.status ?? 1);
