// Writes the sentence for a person about a file that could not be fetched.

import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, printable } from "../../text.ts";
import { holderWithAddress } from "../people/holder-name.ts";
import type { WantedFile } from "./types.ts";

/** The most reasons that are named, and the most holders that are named for each. */
const MOST_NAMED = 3;

/** The sentence: what could not be fetched, why (a clause), how far it came and what to do next. `kept` says whether it can go on later. */
export function failureSentence({ name, size }: WantedFile, why: string, received: number, kept: boolean): string {
  const reason = why || "nobody online has it";
  if (received === 0) return `Cannot fetch "${printable(name)}": ${reason}. Search again to see who has it now.`;
  const next = kept ? "Your progress is saved; run the same command to resume." : "Run the same command again.";
  return `The download of "${printable(name)}" stopped at ${formatSize(received)} of ${formatSize(size)}: ${reason}. ${next}`;
}

/** The reasons why holders failed, as one clause. It names holders with the same reason together, and of many only the first. */
export function reasonsClause(holders: Iterable<{ record: FileRecord; reason: string }>): string {
  const byReason = new Map<string, string[]>();
  for (const { record, reason } of holders) {
    if (reason !== "") byReason.set(reason, [...(byReason.get(reason) ?? []), holderWithAddress(record)]);
  }
  const clauses = [...byReason].slice(0, MOST_NAMED).map(([reason, endpoints]) => {
    const more = endpoints.length > MOST_NAMED ? ` and ${endpoints.length - MOST_NAMED} more` : "";
    return `${endpoints.slice(0, MOST_NAMED).join(", ")}${more}: ${reason}`;
  });
  return clauses.join("; ") + (byReason.size > MOST_NAMED ? "; and others for other reasons" : "");
}
