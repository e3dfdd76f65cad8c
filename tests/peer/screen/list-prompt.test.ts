import { describe, expect, test } from "bun:test";
import { type Answer, type ListOptions, ListPrompt } from "../../../lib/peer/screen/list-prompt.ts";
import { Surface } from "../../../lib/peer/screen/surface.ts";
import { Glass } from "../../helpers/glass.ts";
import { Keys } from "../../helpers/keys.ts";

const FRUIT = ["apple", "pear", "plum", "apple pie", "quince"];

function shown(more: Partial<ListOptions<string>> = {}, columns = 80, rows = 24) {
  const glass = new Glass(columns, rows);
  const surface = new Surface(glass);
  const keys = new Keys();
  surface.open();
  const prompt = new ListPrompt<string>(
    {
      message: "Which fruit?",
      hint: "part of a name",
      look: (typed) => ({ rows: FRUIT.filter((one) => one.includes(typed)), remark: "" }),
      lay: (all) => ({ title: "", lines: all }),
      keyOf: (row) => row,
      enter: "eat",
      escape: "back",
      sum: ({ row, marked }) => (marked.length > 0 ? marked.join(" and ") : (row ?? "nothing")),
      ...more,
    },
    { surface, keyboard: keys.keyboard, signal: new AbortController().signal },
  );
  keys.keyboard.escape = () => prompt.stepBack();
  keys.keyboard.pressed = () => surface.keyPressed();
  return { glass, surface, keys, prompt, answer: prompt.prompt() as Promise<Answer<string>> };
}

describe("a list with a line to type in", () => {
  test("narrows the list down, and gives the entry at the cursor", async () => {
    const { glass, keys, answer } = shown();
    expect(glass.lines[1]).toBe("◆  Which fruit?");
    expect(glass.lines[2]).toContain("part of a name");
    keys.press("apple");
    expect(glass.lines.slice(2, 5)).toEqual(["│  apple█", "│  ● apple", "│  ○ apple pie"]);
    keys.press("\x1b[B");
    expect(glass.text).toContain("● apple pie");
    keys.press("\r");
    expect(await answer).toMatchObject({ typed: "apple", row: "apple pie", moved: true, marked: [] });
    expect(glass.lines.slice(-2)).toEqual(["◇  Which fruit?", "│  apple pie"]);
  });

  test("keeps the cursor on its entry while the list changes under it", () => {
    let rows = ["a", "b", "c"];
    const { glass, keys, prompt } = shown({ look: () => ({ rows }) });
    keys.press("\x1b[B");
    rows = ["new", "a", "b", "c"];
    prompt.refresh();
    expect(glass.text).toContain("● b");
  });

  test("Enter waits for the list of what was typed, and never takes an entry of an earlier one", async () => {
    let known = "";
    const hurried: string[] = [];
    const look = () => ({ rows: FRUIT.filter((one) => one.includes(known)) });
    const hurry = (typed: string) => void hurried.push(typed);
    const { glass, keys, prompt, answer } = shown({ look, isCurrent: (typed) => typed === known, hurry });
    keys.press("plum", "\r");
    expect(glass.text).toContain("● apple");
    expect(glass.text).toContain("Looking…");
    prompt.refresh();
    // Another key takes the Enter back.
    keys.press("x");
    known = "plumx";
    prompt.refresh();
    expect(glass.text).not.toContain("Looking…");
    keys.press("\x7f", "\r");
    known = "plum";
    prompt.refresh();
    expect(await answer).toMatchObject({ typed: "plum", row: "plum" });
    expect(hurried).toEqual(["plum", "plum"]);
  });

  test("marks with Space in the list and Tab in the line; a refused mark is said in place", async () => {
    const marks = new Map<string, string>();
    const refuseMark = () => (marks.size < 2 ? undefined : "Two are enough.");
    const { glass, keys, answer } = shown({ marks, refuseMark });
    keys.press("p", "l", " ", "x");
    expect(glass.text).toContain("pl x█");
    keys.press("\x15", "pl", "\t", "\x15", "\x1b[B", "\x1b[B", " ");
    expect([...marks.keys()]).toEqual(["apple", "plum"]);
    keys.press("\x1b[B", " ");
    expect(glass.text).toContain("Two are enough.");
    expect(marks.size).toBe(2);
    keys.press("\x1b[A");
    expect(glass.text).not.toContain("Two are enough.");
    keys.press("\r");
    expect((await answer).marked).toEqual(["apple", "plum"]);
  });

  test("refuses an answer in place, keeps what was typed, and takes the next one", async () => {
    const check = ({ row }: Answer<string>) => (row === undefined ? "There is none." : undefined);
    const { glass, keys, answer } = shown({ check });
    keys.press("kiwi", "\r");
    expect(glass.text).toMatch(/kiwi█\n.*There is none\./s);
    keys.press("\x1b[A", "\x15", "qu");
    expect(glass.text).toContain("● quince");
    keys.press("\r");
    expect((await answer).row).toBe("quince");
  });

  test("Esc takes the text away first, and only then goes back", async () => {
    const { glass, keys, answer } = shown();
    keys.press("pea", "\x1b");
    await keys.settled();
    expect(glass.text).toContain("part of a name");
    expect(glass.text).toContain("○ quince");
    keys.press("\x1b");
    await keys.settled();
    expect(typeof (await answer)).toBe("symbol");
  });

  test("a shortcut ends it, whatever is typed, and leaves nothing on the screen", async () => {
    const check = () => "Never.";
    const { glass, keys, answer } = shown({ check, shortcuts: [{ letter: "o", label: "online" }] });
    expect(glass.text).toContain("^O online");
    keys.press("pea", "\x0f");
    expect(await answer).toMatchObject({ typed: "pea", shortcut: "o" });
    expect(glass.lines).toEqual([]);
  });

  test("what was said above it stays in sight until a key is pressed, however long the list is", () => {
    const many = Array.from({ length: 100 }, (_, i) => `fruit ${i}`);
    const { glass, surface, keys, prompt } = shown({ look: () => ({ rows: many }) });
    const inSight = () => glass.text.split("\n").slice(-24).join("\n");
    expect(inSight()).toContain("○ fruit 15");
    surface.print(["a notice of the operator"]);
    expect(inSight()).toContain("a notice of the operator");
    surface.print(["one", "two", "three"]);
    prompt.refresh();
    expect(inSight()).toMatch(/a notice of the operator\none\ntwo\nthree\n(.*\n)*.*● fruit 0/);
    keys.press("\x1b[B");
    expect(inSight()).not.toContain("three");
    expect(inSight()).toContain("○ fruit 15");
    // However much was said, there is a list.
    surface.print(Array.from({ length: 50 }, (_, i) => `line ${i}`));
    expect(inSight()).toMatch(/line 49\n(.*\n)*.*● fruit 1\n.*○ fruit 2/);
  });

  test("what was said above it stays in sight in a small terminal, too", () => {
    const many = Array.from({ length: 100 }, (_, i) => `fruit ${i}`);
    const shortcuts = ["find", "send", "leave", "more"].map((label, i) => ({ letter: "fgxt".charAt(i), label }));
    const { glass, surface, keys } = shown({ look: () => ({ rows: many }), shortcuts }, 40, 12);
    const inSight = () => glass.text.split("\n").slice(-12).join("\n");
    surface.print(["│", "◆  /home/ada/report.pdf: 48 kB, in", "│  0.4 s, verified", "│"]);
    expect(inSight()).toMatch(/^│\n◆ +\/home.*\n│ +0\.4 s, verified\n(.*\n)*.*● fruit 0\n.*fruit 1/);
    keys.press("\x1b[B");
    expect(inSight()).not.toContain("verified");
    expect(inSight()).toContain("^X leave");
    expect(inSight()).toContain("fruit 2");
  });

  test("Enter can ask first, and Tab complete the text", async () => {
    let asked = "";
    const onEnter = (typed: string) => {
      const isNew = typed !== asked;
      asked = typed;
      return isNew;
    };
    const { glass, keys, answer } = shown({ onEnter, complete: (typed) => `${typed}le` });
    keys.press("app", "\t");
    expect(glass.text).toContain("apple█");
    keys.press("\r");
    expect(glass.text).toContain("apple█");
    keys.press("\r");
    expect((await answer).typed).toBe("apple");
  });

  for (const [columns, rows] of [
    [40, 20],
    [20, 8],
    [200, 50],
  ] as const) {
    test(`fits ${columns} columns and ${rows} rows, with wide characters`, () => {
      const many = Array.from({ length: 300 }, (_, i) => `${"文".repeat(i % 40)}${i}`);
      const { glass, keys } = shown(
        {
          look: () => ({ rows: many }),
          lay: (all, width) => ({ title: "NAME", lines: all.map((one) => one.slice(0, Math.floor(width / 2))) }),
          marks: new Map(),
          shortcuts: [{ letter: "o", label: "online" }],
        },
        columns,
        rows,
      );
      keys.press("名".repeat(60), "\x1b[6~", "\x1b[6~");
      for (const line of glass.raw.replace(/\x1b\[[?\d;]*[A-Za-z]/g, "").split(/[\r\n]/))
        expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
      expect(glass.lines.length).toBeLessThanOrEqual(rows);
      expect(glass.text).toMatch(/21 of 300|● 文/);
    });
  }
});
