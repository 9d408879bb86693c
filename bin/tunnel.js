#!/usr/bin/env node
// Says what is wrong on an old Node before anything is parsed that an old Node cannot parse.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`tunnel needs Node.js 20.19 or newer; this is ${process.versions.node}.\n`);
  process.exit(1);
}
const { main } = require('../dist/cli/main.cjs');
main(process.argv.slice(2));
