import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planOfProfile } from '../../src/compose-plan.ts';
import type { HopPlan, Plan } from '../../src/model/plan.ts';
import { agreements, differences, type CorpusEntry } from '../support/ssh-config-corpus.ts';

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tunnel-corpus-'));
  await mkdir(join(home, '.ssh'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

/** The plan for the entry's host, with ssh_config read by that program; one that is not there leaves it to us. */
async function planBy(ssh: string, { name, files, host }: CorpusEntry): Promise<Plan> {
  const dir = join(home, name.replace(/\W+/g, '-'));
  const written = Object.entries(typeof files === 'string' ? { config: files } : files);
  for (const [file, text] of written) {
    await mkdir(join(dir, file, '..'), { recursive: true });
    await writeFile(join(dir, file), text.replaceAll('@DIR@', dir).replaceAll('@ME@', userInfo().username));
  }
  const env = { ...process.env, HOME: home, CORPUS: '/from/env', AGENT_HERE: '/run/agent' };
  return planOfProfile({ via: [host ?? { host: 'pop' }], sshConfig: join(dir, 'config'), forwards: [] }, 'corpus', {
    env,
    ssh,
  });
}
const bySsh = (entry: CorpusEntry): Promise<Plan> => planBy('ssh', entry);
const byUs = (entry: CorpusEntry): Promise<Plan> => planBy(join(home, 'no-such-ssh'), entry);

/** What takes effect, but for the words of the warnings. */
const effects = ({ warnings: _, ...plan }: Plan): Omit<Plan, 'warnings'> => plan;

describe('what ssh makes of it, our own reading makes of it too', () => {
  test.each(agreements.map((entry) => [entry.name, entry] as const))('%s', async (_, entry) => {
    const [theirs, ours] = [await bySsh(entry), await byUs(entry)];

    expect(effects(ours)).toEqual(effects(theirs));
    expect(ours.hops.at(-1)).toMatchObject(entry.server);
    expect(ours.warnings).toEqual(theirs.warnings);
  });
});

describe('what only ssh can decide is left out, and named', () => {
  test.each(differences.map((entry) => [entry.name, entry] as const))('%s', async (_, entry) => {
    const ours = await byUs(entry);
    const theirs =
      entry.theirs === 'refused' ? await bySsh(entry).catch((error: unknown) => error) : await bySsh(entry);

    expect(ours.hops.at(-1)).toMatchObject(entry.server);
    expect(ours.warnings.join('\n')).toMatch(entry.warning);
    if (entry.theirs === 'refused') expect(theirs).toMatchObject({ code: 'PROFILE_INVALID' });
    else expect((theirs as Plan).hops.at(-1)).toMatchObject<Partial<HopPlan>>(entry.theirs);
  });
});
