// A tracker that breaks the protocol or says what nobody asked for.

import { describe, expect, test } from "bun:test";
import { nameOf, settle } from "../../helpers/channel.ts";
import { failure, SessionRoom } from "../../helpers/session-room.ts";

describe("a lying tracker", () => {
  const LIES: [string, string | Uint8Array][] = [
    ["bytes that are not UTF-8", Uint8Array.of(0xff, 0xfe, 0xc0, 0x80, 10)],
    ["a NUL", "NOT\0FOUND\n"],
    ["an escape code", "NOTICE \u001b[2J\n"],
    ["a C1 control", "NOTICE \u009b2J\n"],
    ["a line without end", "A".repeat(5000)],
    ["a line of 5000 bytes", `NOTICE ${"A".repeat(5000)}\n`],
    ["an answer of two thousand million records", "FOUND: 2000000000\n"],
    ["an answer of more than 2^53 records", "FOUND: 99999999999999999999\n"],
    ["an answer of minus one records", "FOUND: -1\n"],
    ["an answer of 1e3 records", "FOUND: 1e3\n"],
  ];

  test.each(LIES)("%s ends the connection with a sentence, and the peer comes back", async (_what, lie) => {
    const room = new SessionRoom();
    const far = await room.online();
    const failed = failure(room.session.requests.search(nameOf("x")));
    await far.line();
    far.say(lie);
    const { code, message } = await failed;
    expect(code).toBe("tracker-gone");
    expect(message).toContain("broke the protocol");
    // No control character gets into the sentence.
    expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    await settle();
    expect(far.over).toBe(true);
    expect(room.named("away")).toHaveLength(1);
    await room.clock.pass(1000);
    await room.accept(await room.net.next());
    expect(room.session.online).toBe(true);
  });

  test.each([
    ["a record that is none", "report.pdf"],
    ["a record with five fields", "<report.pdf,application/pdf,48213,22/11/26,192.168.1.17>"],
    ["a size that is none", "<report.pdf,application/pdf,4.5,22/11/26,192.168.1.17,40123>"],
    ["a port that is none", "<report.pdf,application/pdf,4,22/11/26,192.168.1.17,0>"],
    ["a root that is none", "<report.pdf,application/pdf,4,22/11/26,192.168.1.17,1;root=xyz>"],
    ["a name with a NUL in it", "<a%00b,application/pdf,4,22/11/26,192.168.1.17,1>"],
    ["a stray percent sign", "<100%,application/pdf,4,22/11/26,192.168.1.17,1>"],
  ])("%s in an answer is left out, and the session goes on", async (_what, line) => {
    const room = new SessionRoom();
    const far = await room.online();
    const found = room.session.requests.search(nameOf("x"));
    await far.line();
    far.say(`FOUND: 2\n${line}\n<x,text/plain,4,22/11/26,192.168.1.17,40123>\n`);
    expect((await found).map(({ name }) => name)).toEqual([nameOf("x")]);
    expect(far.over).toBe(false);
    expect(room.named("away")).toHaveLength(0);
  });

  test("answers that nobody asked for change nothing", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    far.say("YES\nOK\nPONG\nFOUND: 0\nERROR odd words\nWELCOME id=evil pass=evil.evil peers=1 files=1\n");
    await settle();
    expect(room.session.standing?.id).toBe("p1");
    const searching = room.session.requests.search(nameOf("x"));
    await far.line();
    far.say("NOT FOUND\n");
    expect(await searching).toEqual([]);
  });

  test("the answer to another question is an error, not a result", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const failed = failure(room.session.requests.search(nameOf("x")));
    await far.line();
    far.say("PONG\n");
    expect((await failed).message).toContain("PONG");
    const who = failure(room.session.requests.who());
    await far.line();
    far.say("OK\n");
    expect((await who).message).toContain("OK");
  });

  test.each(["FOUND", "PEERS"])("%s pages that always say the same are not gathered for ever", async (kind) => {
    const room = new SessionRoom();
    const far = await room.online();
    const line =
      kind === "FOUND"
        ? "<f,data,1,01/01/26,10.0.0.9,5001>\n"
        : "id=7f address=192.168.1.9 port=5001 files=3 bytes=1000 agent=a since=2026-11-22T09:00:00Z\n";
    const page = `${kind}: 2000\n${line.repeat(2000)}`;
    const asked = kind === "FOUND" ? room.session.requests.list() : room.session.requests.who();
    const outcome = asked.then(
      () => "ended",
      () => "ended",
    );
    let pages = 0;
    while (pages < 40 && (await Promise.race([outcome, far.line()])) !== "ended") {
      far.say(page);
      pages += 1;
    }
    if (pages >= 40) far.reset();
    expect(pages).toBeLessThan(40);
  });

  test("control characters in a greeting are text, never a line", async () => {
    const room = new SessionRoom();
    const joining = room.session.join();
    const far = await room.net.next();
    await far.line();
    far.say("HI FT/2 name=%1B[2J%0AWELCOME max=5 key=k you=192.168.1.17\n");
    await far.lines(3);
    room.welcome(far);
    await joining;
    expect(room.events[0]).toMatchObject({ event: "joined", name: "\u001b[2J\nWELCOME" });
  });
});
