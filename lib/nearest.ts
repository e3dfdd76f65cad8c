// Finds the word that a person most likely meant.

/** The number of letters that were added, left out, replaced, or swapped with the next one between two words. */
export function editDistance(one: string, other: string): number {
  const [a, b] = [[...one], [...other]];
  let earlier: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      // "kcik" is one swap from "kick".
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (earlier[j - 2] ?? 0) + 1);
      row.push(least);
    }
    [earlier, last] = [last, row];
  }
  return last[b.length] ?? 0;
}

/** The most mistakes in a word of this length that still leave it recognisable. */
export function mistakesIn(length: number): number {
  return length < 3 ? 0 : length < 6 ? 1 : Math.min(3, Math.floor(length / 3));
}

/** The candidate that is nearest to a mistyped word; undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const typed = word.toLowerCase();
  const near = candidates
    .map((candidate) => ({ candidate, distance: editDistance(typed, candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.max(mistakesIn(typed.length), mistakesIn(candidate.length)))
    .sort((a, b) => a.distance - b.distance);
  return near[0]?.candidate;
}

/** ` Did you mean "search"?` for a mistyped word; "" when no candidate is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? "" : ` Did you mean "${meant}"?`;
}
