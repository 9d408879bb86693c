import type { HopPlan } from '../../src/model/plan.ts';
import type { HopSpec } from '../../src/model/profile.ts';

/** One configuration, and what of it takes effect for one host (`pop` unless another is named). */
export interface CorpusEntry {
  readonly name: string;
  /** The text of `config`, or several files by name. @DIR@ is their folder, @ME@ who runs the test. */
  readonly files: string | Readonly<Record<string, string>>;
  readonly host?: HopSpec;
  /** What our reading makes of it, in the server's plan. */
  readonly server: Partial<HopPlan>;
}

const ids = (...files: readonly string[]): Pick<HopPlan, 'identities'> => ({
  identities: files.map((file) => ({ file, explicit: true })),
});

/** Configurations of which ssh and our own reading make the same. */
export const agreements: readonly CorpusEntry[] = [
  { name: 'nothing at all', files: '', server: { host: 'pop', port: 22, proxyCommand: null } },
  {
    name: 'the first value wins, blocks add up',
    files: 'Host pop\n Port 1001\nHost *\n Port 1002\n User late\nHost pop\n User never\n',
    server: { port: 1001, user: 'late' },
  },
  {
    name: 'lines before any Host count for all',
    files: 'User u\nHost pop\n User v\n Port 5\n',
    server: { user: 'u', port: 5 },
  },
  {
    name: 'several patterns and a negation that holds',
    files: 'Host *.lan !p?p.lan x\n Port 7\nHost *\n Port 8\n',
    host: { host: 'pop.lan' },
    server: { port: 8 },
  },
  {
    name: 'several patterns and a negation that does not',
    files: 'Host *.lan !x.lan\n Port 7\n',
    host: { host: 'pop.lan' },
    server: { port: 7 },
  },
  { name: 'a negation alone matches nothing', files: 'Host !other\n Port 7\n', server: { port: 22 } },
  {
    name: 'a question mark is exactly one sign',
    files: 'Host po?\n Port 7\nHost pop?\n Port 8\n',
    host: { host: 'pop' },
    server: { port: 7 },
  },
  {
    name: 'signs of other pattern languages stand for themselves',
    files: 'Host p.p p[o]p (pop)\n Port 7\n',
    server: { port: 22 },
  },
  {
    name: 'keywords in any case, equals signs, tabs, comments',
    files: '# a\nHOST=pop\n\thostname = h.lan # the real one\n   pORT\t9 # nine\n',
    server: { host: 'h.lan', port: 9 },
  },
  {
    name: 'double and single quotes',
    files: 'Host "pop"\n User \'u\'\n IdentityFile "/a b/c"\n CertificateFile \'/c d/e\'\n',
    server: { user: 'u', ...ids('/a b/c'), certificates: ['/c d/e'] },
  },
  { name: 'Windows line ends', files: 'Host pop\r\n Port 9\r\n User u\r\n', server: { port: 9, user: 'u' } },
  { name: 'a name in capitals', files: 'Host pop\n Port 9\n', host: { host: 'pop' }, server: { port: 9 } },
  {
    name: 'several IdentityFile, each once',
    files: 'Host pop\n IdentityFile /a\n IdentityFile ~/b\nHost *\n IdentityFile /a\n IdentityFile /c\n',
    server: {},
  },
  { name: 'IdentityFile none', files: 'IdentityFile none\n', server: { identities: [] } },
  {
    name: 'IdentitiesOnly and certificates',
    files: 'IdentitiesOnly yes\nIdentityFile /k\nCertificateFile /k-cert.pub\nCertificateFile /other\n',
    server: { identitiesOnly: true, certificates: ['/k-cert.pub', '/other'] },
  },
  {
    name: 'tokens in files',
    files: 'Host pop\n HostName h.lan\n User u\n Port 9\n IdentityFile /keys/%h/%n/%p/%r/%%/%k\n HostKeyAlias alias\n',
    server: ids('/keys/h.lan/pop/9/u/%/alias'),
  },
  {
    name: 'a variable of the environment in a file',
    files: 'IdentityFile ${CORPUS}/key\n',
    server: ids('/from/env/key'),
  },
  { name: 'IdentityAgent none', files: 'IdentityAgent none\n', server: { agent: null } },
  {
    name: 'IdentityAgent at a path',
    files: 'Host pop\n IdentityAgent /run/%r.sock\n User u\n',
    server: { agent: '/run/u.sock' },
  },
  { name: 'IdentityAgent SSH_AUTH_SOCK', files: 'IdentityAgent SSH_AUTH_SOCK\n', server: { agent: 'environment' } },
  { name: 'IdentityAgent by a variable', files: 'IdentityAgent $AGENT_HERE\n', server: { agent: '/run/agent' } },
  {
    name: 'percent h in HostName',
    files: 'Host pop\n HostName %h.example.org\n',
    server: { host: 'pop.example.org', hostKeyName: 'pop.example.org' },
  },
  { name: 'HostKeyAlias', files: 'HostKeyAlias known\n', server: { hostKeyName: 'known' } },
  {
    name: 'known hosts in several files',
    files: 'UserKnownHostsFile /a "/b c" /d\nGlobalKnownHostsFile /g\n',
    server: { knownHosts: ['/a', '/b c', '/d', '/g'] },
  },
  {
    name: 'known hosts in no file',
    files: 'UserKnownHostsFile none\nGlobalKnownHostsFile /dev/null\n',
    server: { knownHosts: ['/dev/null'] },
  },
  {
    name: 'StrictHostKeyChecking accept-new',
    files: 'StrictHostKeyChecking accept-new\nHashKnownHosts yes\nUpdateHostKeys ask\n',
    server: { hostKey: { kind: 'accept-new' }, hashKnownHosts: true, updateHostKeys: 'ask' },
  },
  {
    name: 'StrictHostKeyChecking off',
    files: 'StrictHostKeyChecking off\n',
    server: { hostKey: { kind: 'accept-new' } },
  },
  {
    name: 'algorithms',
    files:
      'Ciphers aes256-ctr,aes128-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256\nHostKeyAlgorithms ssh-ed25519\n',
    server: {
      ciphers: ['aes256-ctr', 'aes128-ctr'],
      macs: ['hmac-sha2-256'],
      kex: ['curve25519-sha256'],
      hostKeyAlgorithms: ['ssh-ed25519'],
    },
  },
  {
    name: 'keepalive, timeouts and families',
    files:
      'ServerAliveInterval 1m\nServerAliveCountMax 7\nConnectTimeout 2m30\nAddressFamily inet6\nBindAddress 127.0.0.2\nCompression yes\n',
    server: { addressFamily: 'inet6', bindAddress: '127.0.0.2', compression: true },
  },
  {
    name: 'RekeyLimit with a size and a time',
    files: 'RekeyLimit 512M 30m\n',
    server: { rekey: { bytes: 512 * 1024 * 1024, everyMs: 1_800_000 } },
  },
  {
    name: 'ways to log in',
    files: 'PreferredAuthentications password,publickey\nPasswordAuthentication no\n',
    server: { auth: ['publickey'] },
  },
  {
    name: 'BatchMode (a Debian ssh would set ServerAliveInterval 300 with it)',
    files: 'BatchMode yes\nServerAliveInterval 9\n',
    server: { auth: ['publickey'] },
  },
  {
    name: 'ProxyCommand with quotes and a sharp sign',
    files: 'ProxyCommand sh -c "exec nc %h %p" # \'not a comment\'\n',
    server: { proxyCommand: 'sh -c "exec nc pop 22" # \'not a comment\'' },
  },
  {
    name: 'ProxyCommand none',
    files: 'Host pop\n ProxyCommand none\nHost *\n ProxyCommand nc %h %p\n',
    server: { proxyCommand: null },
  },
  {
    name: 'ProxyJump before ProxyCommand',
    files: 'Host pop\n ProxyJump a@jump:2200,[::1]:7\n ProxyCommand nc %h %p\n',
    server: { proxyCommand: null },
  },
  {
    name: 'ProxyCommand before ProxyJump',
    files: 'Host pop\n ProxyCommand nc %h %p\n ProxyJump jump\n',
    server: { proxyCommand: 'nc pop 22' },
  },
  { name: 'ProxyJump none', files: 'Host pop\n ProxyJump none\nHost *\n ProxyJump jump\n', server: {} },
  {
    name: 'jump hosts with jump hosts of their own',
    files: 'Host pop\n ProxyJump inner\nHost inner\n ProxyJump outer\n User i\nHost outer\n Port 2022\n',
    server: {},
  },
  { name: 'Match all', files: 'Host other\n Port 1\nMatch all\n Port 2\n', server: { port: 2 } },
  {
    name: 'Match host by the HostName',
    files: 'Host pop\n HostName h.lan\nMatch host *.lan\n Port 9\nMatch host pop\n Port 10\n User no\n',
    server: { port: 9 },
  },
  {
    name: 'Match originalhost',
    files: 'Host pop\n HostName h.lan\nMatch originalhost pop\n Port 9\n',
    server: { port: 9 },
  },
  {
    name: 'Match with a negated criterion',
    files: 'Match originalhost pop !user root-of-none\n Port 9\nMatch !originalhost pop\n Port 10\n',
    server: { port: 9 },
  },
  {
    name: 'Match with a negated pattern',
    files: 'Match originalhost p*,!pop\n Port 9\nMatch originalhost p*,!x\n Port 10\n',
    server: { port: 10 },
  },
  {
    name: 'Match user by what the file says',
    files: 'User u\nMatch user x,u\n Port 9\n',
    server: { port: 9, user: 'u' },
  },
  {
    name: 'Match user by who is given',
    files: 'User u\nMatch user given\n Port 9\n',
    host: { host: 'pop', user: 'given' },
    server: { port: 9 },
  },
  {
    name: 'Match localuser',
    files: 'Match localuser @ME@\n Port 9\nMatch localuser nobody-at-all\n User no\n',
    server: { port: 9 },
  },
  {
    name: 'Match of several criteria',
    files: 'Match originalhost pop localuser @ME@ user=@ME@\n Port 9\nMatch originalhost pop host other\n User no\n',
    server: { port: 9 },
  },
  {
    name: 'Match final reads everything once more',
    files: 'Match final host h.lan\n Port 9\nHost pop\n HostName h.lan\n IdentityFile /a\n',
    server: { port: 9, ...ids('/a') },
  },
  {
    name: 'Match final does not overrule what was said',
    files: 'Match final all\n Port 9\nHost pop\n Port 8\n',
    server: { port: 8 },
  },
  {
    name: 'Match canonical where nothing is canonicalized',
    files: 'Match canonical all\n Port 9\nHost pop\n User u\n',
    server: { port: 22 },
  },
  {
    name: 'Include of one file',
    files: { config: 'Include @DIR@/more\nHost pop\n Port 8\n', more: 'Host pop\n Port 7\n' },
    server: { port: 7 },
  },
  {
    name: 'Include of a glob, in its order',
    files: {
      config: 'Include @DIR@/d/*.conf\n',
      'd/b.conf': 'User b\nPort 2\n',
      'd/a.conf': 'Host pop\n User a\n',
      'd/.hidden.conf': 'User hidden\n',
      'd/c.txt': 'Port 99\n',
    },
    server: { user: 'a', port: 2 },
  },
  {
    name: 'Include of a glob with a class',
    files: { config: 'Include @DIR@/[a-b]?.conf\n', 'a1.conf': 'Port 1001\n', 'c1.conf': 'User c\n' },
    server: { port: 1001 },
  },
  {
    name: 'Include of several files, one of them absent',
    files: { config: 'Include @DIR@/absent @DIR@/x "@DIR@/y z"\n', x: 'Port 7\n', 'y z': 'User u\n' },
    server: { port: 7, user: 'u' },
  },
  {
    name: 'Include within a block that counts',
    files: {
      config: 'Host pop\n Include @DIR@/x\n Port 9\n',
      x: 'User u\nHost other\n User no\nHost pop\n Compression yes\n',
    },
    server: { user: 'u', port: 9, compression: true },
  },
  {
    name: 'Include within a block that does not count',
    files: {
      config: 'Host other\n Include @DIR@/x\nHost *\n Port 9\n',
      x: 'User no\nHost pop\n Port 8\nMatch all\n Compression yes\n',
    },
    server: { port: 9, compression: false },
  },
  {
    name: 'a block of an included file ends with it',
    files: { config: 'Include @DIR@/x\nPort 9\n', x: 'Host other\n User no\n' },
    server: { port: 9 },
  },
  {
    name: 'what means nothing to a tunnel',
    files:
      'ForwardAgent yes\nSendEnv LANG LC_*\nSetEnv A=b\nControlMaster auto\nControlPath ~/.ssh/c-%C\nControlPersist 10m\nLogLevel QUIET\nRequestTTY force\nEscapeChar none\n',
    server: { port: 22 },
  },
  {
    name: 'forwards of ssh_config stay out of a profile',
    files: 'LocalForward 8080 localhost:80\nRemoteForward 9090 localhost:90\nDynamicForward 1080\n',
    server: { port: 22 },
  },
  {
    name: 'a directive that cannot be honoured is named alike',
    files: 'PKCS11Provider /usr/lib/x.so\n',
    server: { port: 22 },
  },
];

/** Configurations that only ssh can decide, or refuses: each with the reason. */
export const differences: readonly (CorpusEntry & {
  readonly theirs: Partial<HopPlan> | 'refused';
  /** Names the directive in our warning. */
  readonly warning: RegExp;
})[] = [
  {
    name: 'Match exec: we run no command of a configuration',
    files: 'Match exec true\n Port 9\n',
    server: { port: 22 },
    theirs: { port: 9 },
    warning: /Match exec \(.*config:1\) is left out/,
  },
  {
    name: 'a negated Match exec is left out as well, since its answer is unknown',
    files: 'Match !exec false\n Port 9\n',
    server: { port: 22 },
    theirs: { port: 9 },
    warning: /Match exec .* is left out/,
  },
  {
    name: 'CanonicalizeHostname needs name look-ups',
    files: 'CanonicalizeHostname always\nCanonicalDomains example.org\nMatch canonical all\n Port 9\n',
    server: { port: 22 },
    theirs: { port: 9 },
    warning: /CanonicalizeHostname \(.*config:1\) is left out/,
  },
  {
    name: 'an Include of itself: ssh gives up, we read the rest',
    files: { config: 'Host pop\n Port 9\nInclude @DIR@/config\n' },
    server: { port: 9 },
    theirs: 'refused',
    warning: /Include .*config \(.*config:3\) is left out: it includes itself/,
  },
  {
    name: 'a criterion of a later ssh',
    files: 'Match localnetwork 127.0.0.0/8\n Port 9\n',
    server: { port: 22 },
    theirs: 'refused',
    warning: /Match localnetwork .* is left out/,
  },
  {
    name: 'an option that this ssh does not know: it refuses the file, we name the line',
    files: 'UseKeychainOfTheFuture yes\nPort 9\n',
    server: { port: 9 },
    theirs: 'refused',
    warning: /usekeychainofthefuture is not honoured/,
  },
  {
    name: 'a list that begins with a plus: ssh spells out its own, we add to ours at the key exchange',
    files: 'Ciphers +aes128-cbc\nUserKnownHostsFile /k\nVerifyHostKeyDNS yes\n',
    server: { ciphers: ['+aes128-cbc'] },
    theirs: {},
    warning: /verifyhostkeydns is not honoured/,
  },
];
