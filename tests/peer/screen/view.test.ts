// Records, peers, progress and events, as people and scripts see them; whatever strangers put into them.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { PeerEvent } from "../../../lib/peer/events.ts";
import {
  describeDownload,
  describeEvent,
  describeLeft,
  eventObject,
  holderTable,
  howToOpen,
  notFoundSentence,
  Pace,
  peerTable,
  progressLine,
  recordObjects,
  recordTable,
} from "../../../lib/peer/screen/view.ts";
import type { PeerLine } from "../../../lib/protocol/messages.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, nameOf } from "../../helpers/channel.ts";

const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const measure = (text: string) => Bun.stringWidth(text);
const HOSTILE = "a\u001b[2J\u0007\u202egnp.exe\u200b\nb";
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b\u202e]/;

function record(name: string, more: Partial<FileRecord> = {}): FileRecord {
  return {
    name: nameOf(name),
    type: "application/pdf",
    size: 48_213,
    date: "22/11/26",
    address: addressOf("192.168.1.17"),
    port: 40_123,
    v2: true,
    ...more,
  };
}

function peer(more: Partial<PeerLine> = {}): PeerLine {
  return {
    id: "7f",
    address: addressOf("192.168.1.17"),
    port: 40_123,
    files: 2,
    bytes: 48_225,
    agent: "ft-peer/1.0.0",
    since: "2026-11-22T10:04:05Z",
    ...more,
  };
}

/** Without the colours that a terminal is given. */
function plain(text: string): string {
  return Bun.stripANSI(text);
}

describe("tables", () => {
  test("records, a line each, columns aligned", () => {
    expect(recordTable([record("report.pdf"), record("notes.txt", { type: "text/plain", size: 12 })])).toEqual([
      "NAME         SIZE  TYPE             DATE      WHO",
      "report.pdf  48 kB  application/pdf  22/11/26  192.168.1.17:40123",
      "notes.txt    12 B  text/plain       22/11/26  192.168.1.17:40123",
    ]);
  });

  test("no records are a title", () => {
    expect(recordTable([])).toHaveLength(1);
    expect(holderTable([])).toHaveLength(1);
  });

  test("the holders of one file", () => {
    const lines = holderTable([record("x"), record("x", { address: addressOf("2001:db8::1"), port: 5 })]);
    expect(lines).toEqual([
      "TYPE              SIZE  DATE      WHO",
      "application/pdf  48 kB  22/11/26  192.168.1.17:40123",
      "application/pdf  48 kB  22/11/26  [2001:db8::1]:5",
    ]);
  });

  test("peers, and which one is oneself", () => {
    expect(peerTable([peer(), peer({ id: "80", port: 5, files: 1, bytes: 0 })], "80")).toEqual([
      "WHO                   FILES   SIZE  PROGRAM        SINCE (UTC)  ID",
      "192.168.1.17:40123        2  48 kB  ft-peer/1.0.0  10:04        7f",
      "192.168.1.17:5 (you)      1    0 B  ft-peer/1.0.0  10:04        80",
    ]);
  });

  test("peers that nobody can connect to are marked; of which it is not known are not", () => {
    const lines = peerTable(
      [peer({ reach: true }), peer({ id: "80", port: 5, reach: false }), peer({ id: "81", port: 6, reach: false }), peer()],
      "80",
    );
    expect(lines.map((line) => line.split(/ {2,}/)[0])).toEqual([
      "WHO",
      "192.168.1.17:40123",
      "192.168.1.17:5 (you) (firewalled)",
      "192.168.1.17:6 (firewalled)",
      "192.168.1.17:40123",
    ]);
  });

  test("whatever strangers send, no line has a control character in it", () => {
    const lines = [
      ...recordTable([record(HOSTILE, { type: "x\u202e/y" })]),
      ...holderTable([record("x", { type: "x\u202e/y" })]),
      ...peerTable([peer({ agent: HOSTILE, id: HOSTILE, since: "2026-11-22T\u001b[2J\u0007" })], ""),
    ];
    for (const line of lines) expect(line).not.toMatch(UNSAFE);
    expect(lines.join("\n")).toContain("\\x1b[2J");
  });

  test.each([
    ["80 columns", 80, "192.168.1.17"],
    ["60 columns", 60, "192.168.1.17"],
    ["40 columns", 40, "192.168.1.17"],
    ["80 columns, and a long address", 80, "2001:db8:1234:5678:9abc:def0:1234:5678"],
  ])("a name of 255 bytes in %s: no line is wider, the size is still there", (_what, width, address) => {
    for (const name of ["漢".repeat(85), "x".repeat(255), "e\u0301".repeat(85), "👩‍👩‍👧‍👦".repeat(10)]) {
      const lines = recordTable([record(name, { address: addressOf(address), type: "application/octet-stream" })], width);
      expect(lines[1]).toContain("48 kB");
      expect(lines[1]).toContain("…");
      expect(lines.map((line) => measure(line) <= width)).toEqual([true, true]);
    }
  });

  test("a name that fits is not cut", () => {
    expect(recordTable([record("report.pdf")], 80)[1]).toContain("report.pdf  48 kB  application/pdf");
  });

  test("a hundred thousand records are no problem", () => {
    const many = Array.from({ length: 100_000 }, () => record("x"));
    expect(recordTable(many, 80)).toHaveLength(100_001);
  });
});

describe("records for a script", () => {
  test("their keys, in order", () => {
    expect(JSON.stringify(recordObjects([record("report.pdf", { root: ROOT, mtime: "2026-11-22T10:04:05.000Z" })]))).toBe(
      `[{"name":"report.pdf","type":"application/pdf","size":48213,"modified":"2026-11-22T10:04:05.000Z","address":"192.168.1.17","port":40123,"root":"${ROOT}","holders":1}]`,
    );
    expect(recordObjects([record("a", { date: "01/02/26" })])).toMatchObject([
      { modified: "2026-02-01", root: null, holders: 1 },
    ]);
  });

  test("holders are those of the same content, whatever they call it", () => {
    const records = [
      record("a.pdf", { root: ROOT }),
      record("b.pdf", { root: ROOT, port: 2 }),
      record("a.pdf", { root: "00".repeat(32), port: 3 }),
      record("a.pdf", { port: 4 }),
      record("a.pdf", { port: 5 }),
    ];
    expect(recordObjects(records)).toMatchObject([
      { port: 40_123, holders: 2 },
      { port: 2, holders: 2 },
      { port: 3, holders: 1 },
      { port: 4, holders: 1 },
      { port: 5, holders: 1 },
    ]);
  });

  test("who is still fetching it is said so, and is no holder of the whole", () => {
    const parts = { root: ROOT, part: true } as const;
    const objects = recordObjects([
      record("a.pdf", { root: ROOT }),
      record("b.pdf", { ...parts, address: addressOf("192.168.1.18") }),
      record("c.pdf", { root: ROOT, address: addressOf("192.168.1.19") }),
      record("only.pdf", { ...parts, root: ROOT.replace("9", "8") }),
    ]);
    expect(objects).toMatchObject([
      { name: "a.pdf", holders: 2 },
      { name: "b.pdf", holders: 2, part: true },
      { name: "c.pdf", holders: 2 },
      { name: "only.pdf", holders: 0, part: true },
    ]);
    expect(objects.map((one) => "part" in one)).toEqual([false, true, false, true]);
    expect(recordTable([record("b.pdf", parts)]).at(-1)).toEndWith("192.168.1.17:40123 (unfinished)");
    expect(holderTable([record("b.pdf", parts), record("b.pdf")]).map((line) => line.includes("(unfinished)"))).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("names are what they are", () => {
    expect(recordObjects([record(HOSTILE)])).toMatchObject([{ name: HOSTILE }]);
  });
});

describe("progress", () => {
  test("one line", () => {
    expect(progressLine(431_000_000, 1_026_000_000, 890_000_000)).toBe(" 42 %  431 MB of 1.0 GB  890 MB/s  0.7 s left");
    expect(progressLine(0, 100, 0)).toBe("  0 %  0 B of 100 B  0 B/s");
    expect(progressLine(100, 100, 50)).toBe("100 %  100 B of 100 B  50 B/s  0.0 s left");
    expect(progressLine(0, 0, 0)).toBe("100 %  0 B of 0 B  0 B/s");
    expect(progressLine(999, 1000, 1)).toStartWith(" 99 %");
  });

  test("from how many holders, when there are several", () => {
    expect(progressLine(431_000_000, 1_026_000_000, 890_000_000, 3)).toBe(
      " 42 %  431 MB of 1.0 GB  890 MB/s  0.7 s left  from 3 holders",
    );
    expect(progressLine(1, 4, 0, 2)).toBe(" 25 %  1 B of 4 B  0 B/s  from 2 holders");
    for (const holders of [0, 1]) expect(progressLine(1, 4, 0, holders)).toBe(" 25 %  1 B of 4 B  0 B/s");
  });

  test("the rate is that of the last seconds, not of the whole time", () => {
    const pace = new Pace();
    expect(pace.rate(0, 0)).toBe(0);
    expect(pace.rate(1000, 1_000_000)).toBe(1_000_000);
    for (let second = 2; second <= 20; second++) pace.rate(second * 1000, 1_000_000);
    expect(pace.rate(21_000, 1_000_000)).toBe(0);
    for (let second = 22; second <= 30; second++) pace.rate(second * 1000, 1_000_000 + (second - 21) * 500);
    expect(pace.rate(31_000, 1_000_000 + 10 * 500)).toBeCloseTo(500);
  });

  test("two looks at the same moment are no division by zero", () => {
    const pace = new Pace();
    pace.rate(5, 100);
    expect(pace.rate(5, 200)).toBe(0);
  });

  test("a file that is begun again has no negative rate", () => {
    const pace = new Pace();
    for (let second = 0; second <= 10; second++) pace.rate(second * 1000, second * 100_000_000);
    // A liar was found out: all of it is fetched once more.
    const rate = pace.rate(10_100, 0);
    expect(rate).toBeGreaterThanOrEqual(0);
    expect(pace.rate(10_200, 10_000_000)).toBeGreaterThanOrEqual(0);
    expect(progressLine(0, 100_000_000, rate)).not.toContain("-");
  });
});

describe("downloads, as sentences", () => {
  const done = { path: "/downloads/report.pdf", size: 48_213, verified: true, outcome: "new" as const, holders: [] };

  test("path, size, rate, and whether it is verified", () => {
    expect(plain(describeDownload(done, 0.5))).toBe("/downloads/report.pdf  48 kB  96 kB/s  verified");
    expect(plain(describeDownload({ ...done, verified: false }, 0.5))).toEndWith("  not verified");
    expect(plain(describeDownload({ ...done, outcome: "already here" }, 0))).toBe(
      "/downloads/report.pdf  48 kB  already here  verified",
    );
    expect(plain(describeDownload(done, 0))).not.toMatch(/Infinity|NaN/);
    expect(plain(describeDownload({ ...done, path: `/x/${HOSTILE}` }, 1))).not.toMatch(UNSAFE);
  });

  test("without a terminal there are no colours, wherever it runs", () => {
    const script = `
      const { describeDownload } = await import(${JSON.stringify(join(import.meta.dir, "..", "..", "..", "lib", "peer", "screen", "view.ts"))});
      console.log(describeDownload(${JSON.stringify(done)}, 0.5));
    `;
    const { FORCE_COLOR: _force, NO_COLOR: _no, CI: _ci, ...env } = process.env;
    for (const more of [{}, { CI: "true" }, { TERM: "xterm-256color", COLORTERM: "truecolor" }]) {
      const { stdout } = Bun.spawnSync([process.execPath, "-e", script], { env: { ...env, ...more } });
      expect([more, stdout.toString()]).toEqual([more, "/downloads/report.pdf  48 kB  96 kB/s  verified\n"]);
    }
  });

  test("what is not found is quoted harmlessly", () => {
    expect(notFoundSentence("a.txt")).toContain('"a.txt"');
    expect(notFoundSentence(HOSTILE)).not.toMatch(UNSAFE);
  });

  test("what was left out, by reason, a screenful at most", () => {
    expect(describeLeft([])).toBe("");
    const left = (names: string[], reason: string) => names.map((name) => ({ path: `/shared/${name}`, reason }));
    expect(describeLeft([...left(["a", "b"], "it is a link"), ...left(["c"], "it may not be read")])).toBe(
      ' Left out, because it is a link: "a", "b". Left out, because it may not be read: "c".',
    );
    const many = left(
      Array.from({ length: 5000 }, (_, i) => `f${i}`),
      "5 files are the most",
    );
    expect(describeLeft(many).length).toBeLessThan(200);
    expect(describeLeft(many)).toContain("4995 more");
  });
});

describe("events", () => {
  const upload = {
    to: { address: addressOf("192.168.1.30"), port: 51_000 },
    name: "a.txt",
    wanted: 1000,
    sent: 400,
    since: 1_795_345_200_000,
  };
  const EVENTS: [PeerEvent, RegExp, object][] = [
    [
      { event: "joined", profile: 2, name: "Lab 3", peers: 1, files: 52, left: [] },
      /^Online at "Lab 3": 1 peer, 52 files\.$/,
      { event: "joined", profile: 2, name: "Lab 3", peers: 1, files: 52, left: [] },
    ],
    [
      { event: "joined", profile: 2, name: "Lab 3", peers: 14, files: 1, left: [record("b.txt")] },
      /14 peers, 1 file\..*"b\.txt"/,
      { event: "joined", profile: 2, name: "Lab 3", peers: 14, files: 1, left: ["b.txt"] },
    ],
    [
      { event: "joined", profile: 1, name: "", peers: 0, files: 0, left: [record("song 2.mp3")] },
      /speaks the basic protocol.*"song 2\.mp3"/,
      { event: "joined", profile: 1, name: "", peers: 0, files: 0, left: ["song 2.mp3"] },
    ],
    [
      { event: "away", reason: "it closed the connection" },
      /away \(it closed the connection\)/,
      { event: "away", reason: "it closed the connection" },
    ],
    [
      { event: "notice", words: "Stopping at 18:00." },
      /says: Stopping at 18:00\./,
      { event: "notice", words: "Stopping at 18:00." },
    ],
    [
      { event: "unread", count: 1 },
      /^Could not read 1 entry of the tracker's answer; left out\.$/,
      { event: "unread", count: 1 },
    ],
    [
      { event: "root", name: "a.txt", size: 3, root: ROOT },
      new RegExp(`"a\\.txt": ${ROOT}`),
      { event: "root", name: "a.txt", size: 3, root: ROOT },
    ],
    [
      { event: "changed", name: "a.txt", size: 48_213 },
      /^"a\.txt" has changed: 48 kB now\.$/,
      { event: "changed", name: "a.txt", size: 48_213 },
    ],
    [
      { event: "withdrawn", name: "a.txt", reason: "it cannot be read any more" },
      /"a\.txt".*cannot be read any more/,
      { event: "withdrawn", name: "a.txt", reason: "it cannot be read any more" },
    ],
    [
      { event: "upload-started", upload },
      /^192\.168\.1\.30:51000 downloads "a\.txt"\.$/,
      { event: "upload-started", address: "192.168.1.30", port: 51_000, name: "a.txt", sent: 400, wanted: 1000 },
    ],
    [
      { event: "upload-ended", upload, complete: false, reason: "it left" },
      /stopped after 400 B of 1\.0 kB of "a\.txt" \(it left\)/,
      {
        event: "upload-ended",
        address: "192.168.1.30",
        port: 51_000,
        name: "a.txt",
        sent: 400,
        wanted: 1000,
        complete: false,
        reason: "it left",
      },
    ],
    [
      { event: "upload-ended", upload: { ...upload, sent: 1000 }, complete: true, reason: "" },
      /got 1\.0 kB of "a\.txt"\.$/,
      {
        event: "upload-ended",
        address: "192.168.1.30",
        port: 51_000,
        name: "a.txt",
        sent: 1000,
        wanted: 1000,
        complete: true,
        reason: "",
      },
    ],
    [
      { event: "download-refused", address: addressOf("192.168.1.30"), reason: "The pass has expired." },
      /192\.168\.1\.30: The pass has expired\./,
      { event: "download-refused", address: "192.168.1.30", reason: "The pass has expired." },
    ],
  ];

  const REACH = [
    { event: "reach", reachable: true, reason: "", port: 1235 },
    { event: "reach", reachable: false, reason: "no answer within 5 s", port: 1235 },
  ] as const satisfies PeerEvent[];

  test("whether others can connect is told with the port, why not, what that means, and what to do", () => {
    const [open, shut] = REACH.map(describeEvent);
    expect(open).toBe("Others can connect to this machine: port 1235 is open.");
    expect(shut).toStartWith("Others cannot connect to this machine: port 1235 does not let them in (no answer within 5 s). ");
    expect(shut).toContain("They still get your files");
    expect(shut).toEndWith(howToOpen(1235));
    for (const event of REACH) expect(eventObject(event)).toEqual(event);
  });

  test("each is one sentence, and one object", () => {
    for (const [event, sentence, object] of EVENTS) {
      expect(describeEvent(event)).toMatch(sentence);
      expect(JSON.parse(JSON.stringify(eventObject(event)))).toEqual(object);
    }
    expect(new Set(EVENTS.map(([{ event }]) => event)).size).toBe(10);
  });
});

describe("how to let others in", () => {
  test("is told for each system, with the port, in words that can be typed there", () => {
    expect(howToOpen(40_123, "win32")).toEndWith(
      ": netsh advfirewall firewall add rule name=FileTracker dir=in action=allow protocol=TCP localport=40123",
    );
    expect(howToOpen(40_123, "win32")).toContain("Windows Defender Firewall");
    expect(howToOpen(40_123, "darwin")).toBe(
      "To let them in, allow incoming connections for ft-peer in System Settings, Network, Firewall (TCP port 40123).",
    );
    expect(howToOpen(40_123, "linux")).toBe(
      'To let them in, allow TCP port 40123: "sudo ufw allow 40123/tcp" with ufw, "sudo firewall-cmd --add-port=40123/tcp" with firewalld.',
    );
  });

  test("says of no system what is another one's", () => {
    const words = { win32: /netsh|Defender/, darwin: /System Settings/, linux: /ufw|firewall-cmd/ };
    for (const platform of ["win32", "darwin", "linux", "freebsd"] as const) {
      const told = howToOpen(1235, platform);
      for (const [other, word] of Object.entries(words)) {
        const own = other === platform || (other === "linux" && platform === "freebsd");
        expect([platform, other, word.test(told)]).toEqual([platform, other, own]);
      }
    }
  });

  test("is of this system when none is named", () => {
    expect(howToOpen(1235)).toBe(howToOpen(1235, process.platform));
  });
});

describe("while everybody is away", () => {
  const MODULE = JSON.stringify(join(import.meta.dir, "..", "..", "..", "lib", "peer", "screen", "screen.ts"));

  /** What a command writes when a download tells these events. */
  function written(options: { json: boolean; quiet: boolean }): { out: string; err: string } {
    const script = `
      const { Screen, progressReporter } = await import(${MODULE});
      const report = progressReporter(new Screen(${JSON.stringify(options)}));
      report({ event: "progress", received: 1, size: 2, holders: 1 });
      report({ event: "away" });
    `;
    const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
    return { out: stdout.toString(), err: stderr.toString() };
  }

  test("a person is told what is waited for, as a remark", () => {
    expect(written({ json: false, quiet: false })).toEqual({
      out: "",
      err: "The network or the tracker is away, and nobody answers; waiting for it to come back.\n",
    });
  });

  test("a script gets an object, and who wants only results gets nothing", () => {
    const { out, err } = written({ json: true, quiet: false });
    expect([JSON.parse(out.trim().split("\n").at(-1) ?? ""), err]).toEqual([{ event: "away" }, ""]);
    expect(written({ json: false, quiet: true })).toEqual({ out: "", err: "" });
  });
});
