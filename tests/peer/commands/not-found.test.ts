// The sentence about a name that nobody shares.

import { expect, test } from "bun:test";
import type { CommandLine } from "../../../lib/peer/arguments.ts";
import { notFound } from "../../../lib/peer/commands/not-found.ts";
import { ROOT, record } from "../../helpers/session-room.ts";

test("a similar name that nobody can type is fetched by its content id", () => {
  const line = { tracker: undefined } as CommandLine;
  const bell = record("ring\x07.txt", { root: ROOT });
  const said = (command: string) => notFound("ring", [bell], line, command).message;
  expect(said("get")).toBe(`No exact match. Similar: "ring\\x07.txt" (12 B, 1 person). Try: ft-peer get root:${ROOT}`);
  expect(said("holders")).toEndWith("Try: ft-peer holders 'ring\\x07.txt'");
});
