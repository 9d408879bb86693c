// Who may import whom (docs/architecture.md). Every rule says why it is there.

/** What each folder may import besides itself and `model`. An entry may be a folder, or one file of a folder. */
const MAY_IMPORT = {
  model: [],
  profile: [],
  'ssh-config': [],
  'known-hosts': [],
  socks: [],
  observe: [],
  control: [],
  link: [],
  secrets: ['files/(private-folder|exclusive)', 'link/ask'], // a vault lies in a closed folder, one changes it at a time, and it asks for its passphrase
  plan: ['ssh-config'],
  files: ['profile', 'known-hosts'],
  forward: ['socks', 'link/(carrier|transport)'],
  supervisor: ['link', 'forward'],
  ssh: ['known-hosts', 'files/known-hosts', 'link/(transport|ask)', 'secrets/(store|totp)'],
  check: ['link/(transport|ask)', 'forward/reach/(probe|dial)', 'forward/(listen/listener|udp/udp-listener)'],
  authorize: ['link/transport'],
  router: [],
  demo: ['ssh/demo-server'],
  daemon: ['control', 'supervisor', 'observe', 'files', 'compose'],
  cli: [
    ...[
      'control',
      'profile',
      'files',
      'known-hosts',
      'daemon',
      'compose',
      'demo',
      'check',
      'authorize',
      'plan/origins',
      'ssh-config/settings',
    ],
    ...['link/(transport|ask)', 'secrets/(store|totp)'], // their interfaces: what a login asks, what a secret is called
  ],
};

/** Folders that know no clock, disk, socket or environment: values in, values out. */
const PURE = ['model', 'profile', 'known-hosts', 'plan', 'socks', 'cli/render'];
const PURE_FILES = [
  'forward/demand',
  'link/(machine|backoff|liveness)',
  'control/(messages|codec)',
  'supervisor/(state|reconcile)',
  'ssh-config/(settings|tokens)',
  'authorize/(key-limits|authorized-line|remote-script)',
  'router/(.*-codec|gateway-table|lease|router-refusal|double-nat|mapping-notes)',
];
const PURE_BUILTINS = ['crypto', 'path', 'net', 'util'];

/** Each of these libraries has one door, so that replacing it is one file's work. */
const ONE_IMPORTER = {
  ssh2: '^src/ssh/',
  keytar: '^src/secrets/keychain\\.ts$',
  commander: '^src/cli/command-line\\.ts$',
  inquirer: '^src/cli/prompts\\.ts$',
  chalk: '^src/cli/theme\\.ts$',
  '@noble/post-quantum': '^src/ssh/compat/ml-kem\\.ts$',
};

module.exports = {
  forbidden: [
    {
      name: 'no-circle',
      comment: 'Two files that need each other are one thing in two places: neither can be read or tested alone.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphan',
      comment: 'A file that nobody imports is dead, or forgotten.',
      severity: 'error',
      from: { orphan: true, pathNot: '^(src/index\\.ts|bin/)' },
      to: {},
    },
    {
      name: 'no-unresolved',
      comment: 'An import that resolves to nothing fails only when somebody runs that line.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^(\\.\\./)?dist/' },
    },
    {
      name: 'no-dev-library',
      comment: 'What is installed for developers is not there for users.',
      severity: 'error',
      from: { path: '^(src|bin)/' },
      to: { dependencyTypes: ['npm-dev'], pathNot: '^node_modules/@types/' },
    },
    {
      name: 'nobody-imports-cli',
      comment: 'The command line is one face of the program: what others need from it belongs further down.',
      severity: 'error',
      from: { path: '^src/(?!cli/)' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'compose-names-the-adapters',
      comment:
        'compose is the one place that knows which adapter stands behind an interface; only programs start there.',
      severity: 'error',
      from: { path: '^src/(?!compose|index|daemon/|cli/)' },
      to: { path: '^src/(compose|index)' },
    },
    ...Object.entries(MAY_IMPORT).map(([folder, allowed]) => ({
      name: `${folder}-imports`,
      comment: `Imports run one way (docs/architecture.md): ${folder} may use model${allowed.map((other) => `, ${other}`).join('')}.`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: '^src/', pathNot: [folder, 'model', ...allowed].map((other) => `^src/${other}`) },
    })),
    {
      name: 'data-knows-no-ssh2',
      comment:
        'How bytes wait and are measured is ours; what of it meets the inside of ssh2 is compat, which stands on it.',
      severity: 'error',
      from: { path: '^src/ssh/data/' },
      to: { path: '^src/ssh/(compat/|[^/]+$)' },
    },
    {
      name: 'pure-stays-pure',
      comment:
        'A function of values only can be tested by a table, and run anywhere: these touch nothing of the machine.',
      severity: 'error',
      from: { path: [...PURE.map((folder) => `^src/${folder}/`), ...PURE_FILES.map((file) => `^src/${file}\\.ts$`)] },
      to: { dependencyTypes: ['core'], pathNot: `^(node:)?(${PURE_BUILTINS.join('|')})$` },
    },
    ...Object.entries(ONE_IMPORTER).map(([library, door]) => ({
      name: `one-door-for-${library}`,
      comment: `${library} is imported in one place, so that the rest of the house does not depend on its ways.`,
      severity: 'error',
      from: { path: '^(src|bin)/', pathNot: door },
      to: { path: `node_modules/.*${library}/` },
    })),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    exclude: { path: '^dist/' },
  },
};
