import { listProfiles, readProfileText, type ProfileFile } from '../../files/profiles.ts';
import { cleanLine } from '../../model/clean.ts';
import { formatEndpoint } from '../../model/endpoint.ts';
import { doorsOf, exposureText, type Door } from '../../model/exposure.ts';
import { FAILURES, asTunnelError, type Problem } from '../../model/failure.ts';
import { parseProfile } from '../../profile/parse.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { checkLive } from '../server/check-live.ts';
import { passedOver } from '../profiles/catalog.ts';
import { profileOf } from '../profiles/profile-file.ts';
import { problemLines } from '../render/problems.ts';

/** `tunnel check [NAME]`: every mistake of one profile, or of all, 2 where there is one; of one, then each step on the way. */
export const run: Run = async ([argument], options, context) => {
  const { out, json } = context;
  const profiles =
    argument === undefined ? await listProfiles(context.cwd, context.paths) : [await profileOf(argument, context)];
  const results: Result[] = [];
  for (const { name, file } of profiles) {
    const problems = await problemsOf({ name, file }, context);
    const doors = problems.length === 0 ? await doorsIn(file) : [];
    results.push({ name, file, problems, doors });
    if (json) continue;
    for (const line of problemLines(problems, out.theme)) out.data(line);
    if (problems.length === 0) out.data(`${out.theme.good('ok')}  ${name}  ${out.theme.dim(file)}`);
    for (const { bind, exposure } of doors)
      out.data(out.theme.warn(`    ${formatEndpoint(bind)} is ${cleanLine(exposureText(exposure))}`));
  }
  const problems = results.flatMap((result) => result.problems);
  const live =
    argument !== undefined && !options.flag('no-live') && problems.length === 0
      ? await checkLive(argument, context)
      : undefined;
  if (json) out.json({ version: 1, profiles: results.map(summary), problems, ...(live && { steps: live.steps }) });
  else if (results.length === 0) out.say('There is no profile yet: `tunnel new` writes one.');
  if (argument === undefined && !json) for (const line of passedOver(context.paths, context.cwd)) out.warn(line);
  return problems.length === 0 ? (live?.failure?.exit ?? 0) : FAILURES.PROFILE_INVALID.exit;
};

type Named = Pick<ProfileFile, 'name' | 'file'>;
interface Result extends Named {
  readonly problems: readonly Problem[];
  readonly doors: readonly Door[];
}

function summary({ name, file, problems, doors }: Result): unknown {
  const gateways = doors.map(({ bind, exposure }) => ({ bind: formatEndpoint(bind), ...exposure }));
  return { name, file, ok: problems.length === 0, gateways };
}

/** Who can reach what from other machines, by the text of a profile without mistakes. */
async function doorsIn(file: string): Promise<readonly Door[]> {
  const parsed = parseProfile(await readProfileText(file), file);
  if (!parsed.ok) return []; // changed under our hands: its mistakes are told the next time
  return parsed.profile.forwards.flatMap((forward) => doorsOf(forward));
}

/** A file that cannot be read is a problem of that file, and the others are still checked. */
async function problemsOf({ file }: Named, context: Context): Promise<readonly Problem[]> {
  const { checkText } = await import('../../compose-cli.ts');
  try {
    return await checkText(await readProfileText(file), file, context);
  } catch (thrown) {
    const { code, message, problems } = asTunnelError(thrown);
    if (problems.length > 0) return problems;
    if (code === 'INTERNAL' || code === 'INTERRUPTED') throw thrown;
    return [{ file, line: 1, column: 1, message }];
  }
}
