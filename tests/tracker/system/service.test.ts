// What each system needs to run the tracker as a service.

import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TrackerLog } from "../../../lib/tracker/events.ts";
import { writesToJournal } from "../../../lib/tracker/system/journal.ts";
import { serviceText } from "../../../lib/tracker/system/service.ts";
import { Stage } from "../../helpers/programs.ts";

const stage = new Stage();
afterAll(() => stage.close());

const setup = { platform: "linux", program: "/usr/bin/true", options: ["--port", "4321"], home: "/home/ada" };

describe("serviceText", () => {
  test("is a unit of systemd that keeps the tracker in a small room", () => {
    const unit = serviceText(setup).split("\n");
    for (const line of [
      "ExecStart=/usr/bin/true --port 4321",
      "DynamicUser=yes",
      "StateDirectory=filetracker",
      "ProtectSystem=strict",
      "NoNewPrivileges=yes",
      "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    ])
      expect(unit).toContain(line);
    expect(unit.some((line) => line.startsWith("MemoryMax="))).toBe(true);
    expect(unit.join()).not.toContain("MemoryDenyWriteExecute");
  });

  test("quotes what a unit would read otherwise, and leaves people's folders alone", () => {
    const unit = serviceText({ ...setup, program: "/home/ada/ft-tracker", options: ["--name", 'Lab "3" 100% $HOME\\'] });
    expect(unit).toContain('ExecStart=/usr/local/bin/ft-tracker --name "Lab \\"3\\" 100%% $$HOME\\\\"\n');
    expect(unit).toContain("#     sudo install /home/ada/ft-tracker /usr/local/bin/ft-tracker\n");
  });

  test("is an agent of launchd on macOS", () => {
    const agent = serviceText({ ...setup, platform: "darwin", options: ["--name", "R&D <3>"] });
    expect(agent).toContain(
      "    <string>/usr/bin/true</string>\n    <string>--name</string>\n    <string>R&amp;D &lt;3&gt;</string>\n",
    );
    expect(agent).toContain("<string>/home/ada/Library/Logs/ft-tracker.log</string>");
  });

  test("is a task on Windows", () => {
    const program = "C:\\Program Files\\ft-tracker.exe";
    expect(serviceText({ ...setup, platform: "win32", program }).split("\n")[1]).toBe(
      'schtasks /Create /TN FileTracker /SC ONSTART /RU "NT AUTHORITY\\LOCAL SERVICE" /TR "\\"C:\\Program Files\\ft-tracker.exe\\" --port 4321"',
    );
  });

  const analyze = Bun.which("systemd-analyze");
  test.skipIf(analyze === null)("is a unit that systemd has nothing to say about, and finds safe", () => {
    const unit = join(stage.folder(), "ft-tracker.service");
    writeFileSync(unit, `${serviceText(setup)}\n`);
    const run = (...args: string[]) => {
      const { stdout, stderr } = Bun.spawnSync([analyze ?? "", ...args, unit], { env: { ...process.env, LC_ALL: "C" } });
      return stdout.toString() + stderr.toString();
    };
    expect(run("verify")).toBe("");
    const level = /Overall exposure level for \S+: ([\d.]+)/.exec(run("security", "--offline=true"))?.[1];
    if (level === undefined) console.log("This systemd cannot judge a unit that is not installed.");
    else expect(Number(level)).toBeLessThanOrEqual(3);
  });
});

describe("the journal", () => {
  test("is known by the device and inode of standard output", () => {
    const output = () => ({ dev: 8n, ino: 12345n });
    expect(writesToJournal("8:12345", output)).toBe(true);
    expect(writesToJournal("8:12346", output)).toBe(false);
    expect(writesToJournal(undefined, output)).toBe(false);
    expect(
      writesToJournal("8:12345", () => {
        throw new Error("EBADF");
      }),
    ).toBe(false);
  });

  test("gets lines without a time, which it adds by itself", () => {
    const event = { event: "operator", order: "ban", words: "banned 10.0.0.7" } as const;
    expect(new TrackerLog(undefined, true).lines(event, new Date())).toEqual(["operator banned 10.0.0.7"]);
    expect(new TrackerLog().lines(event, new Date())).toHaveLength(2);
  });
});
