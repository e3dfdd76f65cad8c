// Names that nobody has seen: ordinary ones by number, and words that have one hash. Only used by attacks.ts.

const SYLLABLES = ["ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "xu", "ka", "re", "li"];

/** A number's name of three words, the same each time. */
export function nameOf(index: number): string {
  let state = (Math.imul(index + 1, 0x9e3779b1) >>> 0) ^ index;
  const word = () => {
    let text = "";
    for (let i = 0; i < 3; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      text += SYLLABLES[(state >>> 16) % SYLLABLES.length];
    }
    return text;
  };
  return `${word()} ${word()}-${word()} ${index}.pdf`;
}

/** 32-bit FNV-1a, the hash with a fixed seed that attackers try first. */
function fnv(text: string, from: number): number {
  let hash = from;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}

/** 2^16 words of 64 letters with one and the same FNV-1a hash: sixteen times the choice between two parts that lead to one state. */
export function equalHashes(): (number: number) => string {
  const pairs: [string, string][] = [];
  let state = 0x811c9dc5 | 0;
  while (pairs.length < 16) {
    const seen = new Map<number, string>();
    for (let number = 0; ; number++) {
      const part = (number + 46_656).toString(36).padStart(4, "0");
      const next = fnv(part, state);
      const other = seen.get(next);
      seen.set(next, part);
      if (other === undefined) continue;
      pairs.push([other, part]);
      state = next;
      break;
    }
  }
  return (number) => pairs.map(([zero, one], bit) => ((number >>> bit) & 1 ? one : zero)).join("");
}
