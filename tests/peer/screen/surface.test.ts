import { describe, expect, test } from "bun:test";
import { log, select } from "@clack/prompts";
import { Surface } from "../../../lib/peer/screen/surface.ts";
import { Glass } from "../../helpers/glass.ts";
import { Keys } from "../../helpers/keys.ts";

function opened(columns?: number, rows?: number) {
  const glass = new Glass(columns, rows);
  const surface = new Surface(glass);
  surface.open();
  return { glass, surface };
}

const OPTIONS = ["one", "two", "three"].map((value) => ({ value, label: value }));

describe("a surface", () => {
  test("shows a prompt of the package, follows its changes, and keeps its last state", async () => {
    const { glass, surface } = opened();
    const keys = new Keys();
    log.message("before", { output: surface });
    const answer = select({ message: "Which?", options: OPTIONS, input: keys.keyboard, output: surface });
    expect(glass.text).toMatch(/before\n.*Which\?\n.*● one\n.*○ two/s);
    keys.press("\x1b[B");
    expect(glass.text).toMatch(/○ one\n.*● two/s);
    expect(glass.text.match(/Which\?/g)).toHaveLength(1);
    keys.press("\r");
    expect(await answer).toBe("two");
    expect(glass.text).toMatch(/before\n│\n◇ {2}Which\?\n│ {2}two$/);
  });

  test("puts lines that stay, and lines that change, above an open prompt", () => {
    const { glass, surface } = opened();
    const keys = new Keys();
    void select({ message: "Which?", options: OPTIONS, input: keys.keyboard, output: surface });
    surface.print(["a notice"], true);
    surface.live = ["12:00 a"];
    surface.live = ["12:01 b"];
    surface.print(["another"]);
    expect(glass.lines.slice(0, 3)).toEqual(["a notice", "another", "12:01 b"]);
    expect(glass.text.match(/Which\?/g)).toHaveLength(1);
    expect(glass.text).toContain("● one");
    expect(glass.raw).toContain("\x07");
    keys.press("\x1b[B");
    expect(glass.text).toContain("● two");
    expect(glass.lines.slice(0, 3)).toEqual(["a notice", "another", "12:01 b"]);
  });

  test("draws nothing while another program has the terminal, and shows once what came meanwhile", () => {
    const { glass, surface } = opened();
    surface.frame = ["big.iso 1 %"];
    surface.erase();
    surface.frame = ["big.iso 2 %"];
    surface.print(["a notice"]);
    expect(glass.text).not.toContain("big.iso");
    surface.redraw();
    expect(glass.text.match(/a notice\nbig\.iso 2 %/g)).toHaveLength(1);
    expect(glass.text.match(/big\.iso/g)).toHaveLength(1);
  });

  test("shows the prompt once after the terminal has become narrower and wider", () => {
    const { glass, surface } = opened(80);
    const keys = new Keys();
    surface.print(["x".repeat(60)]);
    surface.live = ["y".repeat(70)];
    void select({
      message: "A question that is longer than forty columns, for sure?",
      options: OPTIONS,
      input: keys.keyboard,
      output: surface,
    });
    for (const columns of [40, 25, 120, 30]) {
      glass.resize(columns);
      expect(glass.text.match(/A question/g)).toHaveLength(1);
      expect(glass.text.match(/● one/g)).toHaveLength(1);
      for (const line of glass.lines) expect(line.length).toBeLessThanOrEqual(columns);
    }
  });

  test("a prompt that leaves nothing is gone when it is over", async () => {
    const { glass, surface } = opened();
    const keys = new Keys();
    surface.print(["before"]);
    const answer = select({ message: "Which?", options: OPTIONS, input: keys.keyboard, output: surface });
    surface.leaveNothing();
    keys.press("\x1b");
    await keys.settled();
    await answer;
    expect(glass.lines).toEqual(["before"]);
  });

  test("a frame of the program's own is replaced, cut to the width, and taken away at the end", () => {
    const { glass, surface } = opened(30);
    surface.frame = ["1 %"];
    surface.frame = ["2 %", "z".repeat(99)];
    expect(glass.lines).toEqual(["2 %", `${"z".repeat(29)}…`]);
    surface.close();
    expect(glass.lines).toEqual([]);
    expect(glass.raw).toEndWith("\x1b[?25h");
  });
});
