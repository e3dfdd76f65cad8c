// Says why a file or a folder that is to be shared cannot be read.

import { codeOf } from "../../error.ts";

const CLAUSES: Record<string, string> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EBUSY: "another program has it open",
};

/** The reason as a clause. `special`: the clauses for codes that mean something else, or something more, where the caller reads. */
export function whyUnreadable(error: unknown, special: Record<string, string>): string {
  const code = codeOf(error);
  return special[code] ?? CLAUSES[code] ?? `it cannot be read (${code || "unknown error"})`;
}
