import { describe, expect, test } from "bun:test";
import { endingSignals } from "../../lib/program/signals.ts";

const MODULE = new URL("../../lib/program/signals.ts", import.meta.url).pathname;

/** What a program sees that `sh` starts behind this command. */
function startedBehind(command: string): string {
  const code = `import { ignoresHangUp } from ${JSON.stringify(MODULE)}; console.log(ignoresHangUp());`;
  const { stdout } = Bun.spawnSync(["sh", "-c", `${command} exec "$0" -e "$1"`, process.execPath, code]);
  return stdout.toString().trim();
}

describe("endingSignals", () => {
  test("has SIGHUP, unless this program was started with SIGHUP ignored", () => {
    expect(endingSignals(() => false)).toEqual(["SIGINT", "SIGTERM", "SIGHUP"]);
    expect(endingSignals(() => true)).toEqual(["SIGINT", "SIGTERM"]);
  });

  test("has Ctrl-Break on Windows", () => {
    expect(endingSignals(() => false, "win32")).toEqual(["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"]);
    expect(endingSignals(() => false, "darwin")).not.toContain("SIGBREAK");
  });
});

describe.skipIf(process.platform === "win32")("ignoresHangUp", () => {
  test("is true behind `trap '' HUP`, as behind nohup, and else false", () => {
    expect(startedBehind("trap '' HUP;")).toBe("true");
    expect(startedBehind("trap - HUP;")).toBe("false");
    expect(startedBehind("trap '' INT;")).toBe("false");
  });
});
