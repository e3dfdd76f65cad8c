// Tells whether the log of a program goes to systemd's journal.

import { fstatSync } from "node:fs";

/** Whether standard output goes to systemd's journal, which gives each line its time. */
export function writesToJournal(
  stream = process.env.JOURNAL_STREAM,
  output: () => { dev: bigint; ino: bigint } = () => fstatSync(1, { bigint: true }),
): boolean {
  try {
    const { dev, ino } = output();
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
