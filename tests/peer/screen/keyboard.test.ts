import { describe, expect, test } from "bun:test";
import type { Key } from "node:readline";
import { Keys } from "../../helpers/keys.ts";

/** The keys that a prompt gets: their text, or their name in angle brackets. */
function listened() {
  const keys = new Keys();
  const heard: string[] = [];
  keys.keyboard.on("keypress", (text: string | undefined, { name, ctrl }: Key) => {
    const isText = text !== undefined && !ctrl && !["return", "tab", "backspace"].includes(name ?? "");
    heard.push(isText ? text : `<${ctrl ? "ctrl-" : ""}${name}>`);
  });
  return { keys, heard };
}

describe("a keyboard", () => {
  test("gives text that comes at once as one key, and keys one by one", () => {
    const { keys, heard } = listened();
    keys.press("a", "bcd", "\x1b[A", "\x1b[B\x1b[5~", "\t", "\x7f", "\x0f", "é名", "\r");
    expect(heard).toEqual(["a", "bcd", "<up>", "<down>", "<pageup>", "<tab>", "<backspace>", "<ctrl-o>", "é名", "<return>"]);
  });

  test("bounds a paste, and keeps its line ends from choosing anything", () => {
    const { keys, heard } = listened();
    keys.press(`\x1b[200~one\r\n\ttwo\x1b[2J\n\x1b[201~`, "x".repeat(10_000), "last\n", "in\nside");
    expect(heard[0]).toBe("one two [2J");
    expect(heard[1]).toBe("x".repeat(1000));
    expect(heard.slice(2)).toEqual(["last", "in", " ", "side"]);
  });

  test("takes a paste that comes in pieces, and characters that are cut", () => {
    const { keys, heard } = listened();
    keys.press("\x1b[200~one ", "two\r", "\x1b[201", "~", "\x1b", "[A");
    expect(heard).toEqual(["one two", "<up>"]);
    const long = "y".repeat(3000);
    keys.press(`\x1b[200~${long}`, long, long, "\x1b[201~", "z");
    expect(heard[2]).toBe("y".repeat(1000));
    expect(heard[3]).toBe("z");
  });

  test("knows Esc alone from the start of a key, and Ctrl-D as Esc", async () => {
    const { keys, heard } = listened();
    keys.press("\x1b");
    await keys.settled();
    keys.press("\x04", "\x1b\x1b[B");
    expect(heard).toEqual(["<escape>", "<escape>", "<escape>", "<down>"]);
  });

  test("keeps keys while nobody reads them, and tells of Ctrl-C and Ctrl-Z", async () => {
    const keys = new Keys();
    keys.press("ab", "\r", "\x03", "\x1a");
    expect(keys.specials).toEqual(["interrupt", "suspend"]);
    const heard: unknown[] = [];
    keys.keyboard.on("keypress", (text) => heard.push(text));
    await Promise.resolve();
    expect(heard).toEqual(["ab", "\r"]);
  });

  test("gives keys to a watcher instead, and leaves raw mode at the end", () => {
    const { keys, heard } = listened();
    const watched: string[] = [];
    keys.keyboard.watcher = (name) => watched.push(name);
    keys.press("\x03", "a");
    expect(watched).toEqual(["interrupt", "a"]);
    expect(heard).toEqual([]);
    expect(keys.raw).toBe(true);
    keys.keyboard.close();
    expect(keys.raw).toBe(false);
  });
});
