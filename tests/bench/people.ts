// What people's programs say to a tracker when they join: greetings and records as ft-peer writes them, with files as people have them.
// The same number gives the same person or file each time.

const WORDS =
  "holiday report final scan invoice lecture notes summer party birthday budget draft photo week music team plan class homework chapter physics chemistry history map travel recipe guide manual setup video interview project presentation thesis summary letter contract meeting garden house";
const words = WORDS.split(" ");
const types = {
  pdf: "application/pdf",
  jpg: "image/jpeg",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  mp4: "video/mp4",
  mp3: "audio/mpeg",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  zip: "application/zip",
  png: "image/png",
  txt: "text/plain",
};
const people = ["Anna", "Ben", "Carla", "David", "Emma", "Jürgen"];
/** Files that several people have; each quarter of all records is of one of them. The first ones are in most hands. */
const POPULAR = 2000;
/** Records of one person that nobody else has, at most. */
const OWN = 16;

/** Numbers from 0 to 1 that depend on `seed` alone (mulberry32). */
function numbersFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function oneOf<One>(all: One[], next: () => number): One {
  const one = all[Math.floor(next() * all.length)];
  if (one === undefined) throw new Error("There is nothing to choose from.");
  return one;
}

function hex(digits: number, next: () => number): string {
  return Array.from({ length: digits }, () => Math.floor(next() * 16).toString(16)).join("");
}

/** A file's name has 10 to 45 characters: a few words, and a number or a date. */
function recordOf(number: number, port: number): string {
  const next = numbersFrom(number * 7919 + 17);
  const [ending, type] = oneOf(Object.entries(types), next);
  const between = oneOf([" ", "-", "_"], next);
  const plain = Array.from({ length: 1 + Math.floor(next() * 3) }, () => oneOf(words, next)).join(between);
  const title = next() < 0.3 ? plain.replace(/\b[a-z]/g, (letter) => letter.toUpperCase()) : plain;
  const modified = new Date(Date.UTC(2019, 0, 1) + Math.floor(next() * 7 * 365.25 * 86_400_000)).toISOString();
  const [year = "", month = "", day = ""] = modified.slice(0, 10).split("-");
  const name = `${title}${between}${next() < 0.4 ? `${year}-${month}` : number}.${ending}`;
  const size = Math.floor(2 ** (10 + next() * 20));
  return `<${name},${type},${size},${day}/${month}/${year.slice(2)},127.0.0.1,${port};v=2;mtime=${modified};root=${hex(64, next)}>`;
}

/** HELLO and FILES of a person's ft-peer. */
export function greetingOf(person: number, records: number, port: number): string {
  const next = numbersFrom(person + 99_991);
  const files = new Set<number>();
  while (files.size < records) {
    const isPopular = next() < 0.25;
    files.add(isPopular ? Math.floor(next() ** 2 * POPULAR) : POPULAR + person * OWN + files.size);
  }
  const secret = () => Buffer.from(hex(64, next), "hex").toString("base64url");
  const name = `${oneOf(people, next)}-${oneOf(["laptop", "pc", "mac"], next)}-${person}`;
  const hello = `HELLO FT/2 agent=ft-peer/1.0.0 extras=1 offers=1 challenge=${secret()} key=${secret()} name=${name}`;
  return `${hello}\nFILES ${records} port=${port}\n${Array.from(files, (file) => recordOf(file, port)).join("\n")}\n`;
}
