/** Longest word that is compared: what is longer is no typing mistake of one of our names. */
const LONGEST_WORD = 64;

/**
 * The candidate that a mistyped word most likely means, compared without regard to case.
 * @returns undefined where nothing is near: more than one edit in three letters apart, unless one begins the other
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word === '' || word.length > LONGEST_WORD) return undefined;
  const wanted = word.toLowerCase();
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distanceTo(wanted, candidate.toLowerCase()) }))
    .filter(
      ({ candidate, distance }) => distance <= Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3)),
    )
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}

/** `: did you mean NAME?`, or nothing: ready to stand behind a message. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const near = nearest(word, candidates);
  return near === undefined ? '' : `: did you mean \`${near}\`?`;
}

/** Edits (insert, delete, replace, swap of neighbours: optimal string alignment) from one to the other; a whole first part costs 1. */
function distanceTo(word: string, candidate: string): number {
  if (word.length >= 3 && candidate.length >= 3 && (candidate.startsWith(word) || word.startsWith(candidate))) {
    return word === candidate ? 0 : 1;
  }
  let beforeLast: number[] = [];
  let last = Array.from({ length: candidate.length + 1 }, (_, column) => column);
  for (let row = 1; row <= word.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= candidate.length; column += 1) {
      const same = word[row - 1] === candidate[column - 1];
      const swapped =
        row > 1 && column > 1 && word[row - 1] === candidate[column - 2] && word[row - 2] === candidate[column - 1];
      current[column] = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (beforeLast[column - 2] ?? 0) + 1 : Infinity,
      );
    }
    beforeLast = last;
    last = current;
  }
  return last[candidate.length] ?? Infinity;
}
