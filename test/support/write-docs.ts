import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { profileJsonSchema } from '../../src/profile/json-schema.ts';
import { profileReference } from '../../src/profile/reference.ts';

/** The files that are made from the code, by their path in the repository, as they should be now. */
export function generatedDocs(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/profile.schema.json', `${JSON.stringify(profileJsonSchema(), null, 2)}\n`],
    ['docs/reference.md', profileReference()],
  ]);
}

/** A file of the repository as it is; undefined where there is none. */
export async function committedDoc(path: string): Promise<string | undefined> {
  try {
    return await readFile(placeOf(path), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function placeOf(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [path, text] of generatedDocs()) await writeFile(placeOf(path), text);
}
