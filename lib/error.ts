// Defines the errors of both programs as a few classes. A message is a sentence for a person. A code is a stable word for a script.

/** Something could not be done. `message` is a whole sentence, `code` a stable kebab-case word. */
export class FtError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The other side broke the grammar or a limit. `code` is the first word of an `ERROR` line. */
export class ProtocolError extends FtError {}

/** The command line asks for something that does not exist, or that is not clear; exit code 2. */
export class UsageError extends FtError {
  constructor(message: string, code = "usage") {
    super(code, message);
  }
}

/** The person or a signal stopped the program; exit code 130. */
export class CancelledError extends FtError {
  constructor() {
    super("cancelled", "Stopped.");
  }
}

/** The sentence to show a person for any thrown value. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of an error: the system's (`ENOSPC`, `ECONNREFUSED`), or our own, or "". */
export function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}

/** Clauses for what systems say about a path. */
const PATH_FAULTS: Record<string, string> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is not a folder",
  EISDIR: "it is a folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ELOOP: "its links lead in a circle",
  ENAMETOOLONG: "its name is too long",
  ERR_INVALID_ARG_VALUE: "its name has a character that no name can have",
  ERR_ENCODING_INVALID_ENCODED_DATA: "it is not UTF-8 text",
  EROFS: "its disk is read-only",
  ENOSPC: "its disk is full",
  EIO: "its disk reports an error",
  EBUSY: "another program has it open",
};

/** Why a path could not be read or written, as a clause for a person. A code that is not known here stands for itself. */
export function pathFault(error: unknown): string {
  const code = codeOf(error);
  return PATH_FAULTS[code] ?? (code || sentenceOf(error));
}
