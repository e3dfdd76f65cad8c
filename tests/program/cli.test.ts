// What a program does at its end, as each system needs it.

import { describe, expect, test } from "bun:test";
import { PassThrough } from "node:stream";
import { EXIT, hangUp, holdsWindow, waitForEnter } from "../../lib/program/cli.ts";

describe("hangUp", () => {
  test("calls the handlers of SIGHUP on Windows, which has no such signal to send", () => {
    let called = 0;
    const handler = () => {
      called += 1;
    };
    process.on("SIGHUP", handler);
    try {
      hangUp("win32");
      expect(called).toBe(1);
    } finally {
      process.off("SIGHUP", handler);
    }
  });
});

describe("the window of a program that was double-clicked", () => {
  test("stays open after an error, on Windows only", () => {
    expect(holdsWindow(EXIT.failed, [], "win32")).toBe(true);
    expect(holdsWindow(EXIT.usage, [], "win32")).toBe(true);
    expect(holdsWindow(EXIT.done, [], "win32")).toBe(false);
    expect(holdsWindow(EXIT.interrupted, [], "win32")).toBe(false);
    expect(holdsWindow(EXIT.failed, ["share"], "win32")).toBe(false);
    expect(holdsWindow(EXIT.failed, [], "linux")).toBe(false);
  });

  test("stays open until Enter is pressed, or the input ends", async () => {
    for (const act of [(input: PassThrough) => input.write("\n"), (input: PassThrough) => input.end()]) {
      const input = new PassThrough();
      const said: string[] = [];
      let over = false;
      const waiting = waitForEnter(input, (line) => said.push(line)).then(() => {
        over = true;
      });
      await Promise.resolve();
      expect([said, over]).toEqual([["Press Enter to close this window."], false]);
      act(input);
      await waiting;
      expect(over).toBe(true);
    }
  });
});
