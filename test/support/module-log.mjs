// For `node --import`: writes to stderr each file that is loaded as a module, and at the end what of Node's own was loaded.
import { register } from 'node:module';

const hooks = `
import { writeSync } from 'node:fs';
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  if (found.url.startsWith('file:')) writeSync(2, 'file ' + found.url + '\\n');
  return found;
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
process.on('exit', () => {
  const own = process.moduleLoadList.filter((name) => name.startsWith('NativeModule ') && !name.includes('internal/'));
  process.stderr.write(own.map((name) => `node ${name.slice('NativeModule '.length)}\n`).join(''));
});
