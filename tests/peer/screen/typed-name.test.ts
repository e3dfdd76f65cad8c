import { expect, test } from "bun:test";
import { typedName } from "../../../lib/peer/screen/typed-name.ts";

test("typedName quotes what a shell would read otherwise, as the shell of the system does", () => {
  expect(typedName("report.pdf", "linux")).toBe("report.pdf");
  expect(typedName("Übung_2-a.pdf", "linux")).toBe("Übung_2-a.pdf");
  expect(typedName("-draft.pdf", "linux")).toBe("-- -draft.pdf");
  expect(typedName("Field trip.mp4", "linux")).toBe("'Field trip.mp4'");
  expect(typedName("Ben's $HOME.txt", "linux")).toBe("'Ben'\\''s $HOME.txt'");
  expect(typedName("Field trip.mp4", "win32")).toBe('"Field trip.mp4"');
  expect(typedName("Ben's.txt", "win32")).toBe('"Ben\'s.txt"');
  expect(typedName("- a.txt", "win32")).toBe('-- "- a.txt"');
});
