/**
 * `tunnel` from its sources, with modules replaced: the first argument is a JSON object of module addresses and what is loaded in their
 * place, the others are the command line.
 */
import { register } from 'node:module';
import type { StandIns } from './without/hook.ts';

const [standIns = '{}', ...words] = process.argv.slice(2);
register<StandIns>('./without/hook.ts', import.meta.url, { data: JSON.parse(standIns) as StandIns });
const { main } = await import('../../src/cli/main.ts');
await main(words);
