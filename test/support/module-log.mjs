// For `node --import`: writes to stderr each file that is loaded, and at the end what of Node's own was.
import Module, { register } from 'node:module';
import { pathToFileURL } from 'node:url';

const hooks = `
import { writeSync } from 'node:fs';
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  if (found.url.startsWith('file:')) writeSync(2, 'file ' + found.url + '\\n');
  return found;
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
process.on('exit', () => {
  const required = Object.keys(Module._cache).map((path) => `file ${pathToFileURL(path).href}\n`); // no hook sees them all
  const own = process.moduleLoadList.filter((name) => name.startsWith('NativeModule ') && !name.includes('internal/'));
  process.stderr.write([...required, ...own.map((name) => `node ${name.slice('NativeModule '.length)}\n`)].join(''));
});
