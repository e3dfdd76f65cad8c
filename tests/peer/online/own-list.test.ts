// What a peer with more files than its tracker takes says to that tracker.

import { describe, expect, test } from "bun:test";
import { type Far, nameOf, settle } from "../../helpers/channel.ts";
import { record, SessionRoom } from "../../helpers/session-room.ts";

/** A peer that has joined a tracker which takes five files; it shares these. */
async function joined(names: string[]): Promise<{ room: SessionRoom; far: Far }> {
  const room = new SessionRoom();
  room.shared = names.map((name) => record(name));
  const joining = room.session.join();
  const far = await room.net.next();
  await far.line();
  far.say("HI FT/2 name=Lab%203 max=5 key=11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo you=192.168.1.17\n");
  await far.lines(1 + Math.min(5, names.length));
  room.welcome(far);
  await settle();
  await joining;
  return { room, far };
}

describe("a peer with more files than the tracker takes", () => {
  test("does not add a file that was left out when it changes: the tracker would disconnect the peer", async () => {
    const { room, far } = await joined(["a", "b", "c", "d", "e", "f", "g"]);
    const { requests } = room.session;
    await requests.add(record("f", { size: 99 }));
    const adding = requests.add(record("b", { size: 99 }));
    expect(await far.line()).toStartWith("ADD <b,");
    far.say("OK\n");
    await adding;
    expect(far.waiting).toHaveLength(0);
  });

  test("puts a file that was left out in the place of one that is gone", async () => {
    const { room, far } = await joined(["a", "b", "c", "d", "e", "f", "g"]);
    const { requests } = room.session;
    room.shared = room.shared.filter(({ name }) => name !== "b");
    const dropping = requests.drop(nameOf("b"));
    expect(await far.line()).toBe("DROP b");
    far.say("OK\n");
    expect(await dropping).toBe(true);
    expect(await far.line()).toStartWith("ADD <f,");
    far.say("OK\n");
    await requests.add(record("g"));
    expect(far.waiting).toHaveLength(0);
  });

  test("still tells of what does not count", async () => {
    const { room, far } = await joined(["a", "b", "c", "d", "e", "f"]);
    const adding = room.session.requests.add(record("part", { part: true }));
    expect(await far.line()).toStartWith("ADD <part,");
    far.say("OK\n");
    await adding;
  });

  test("adds files as long as the tracker has room for them, also several at once", async () => {
    const { room, far } = await joined(["a", "b", "c"]);
    const { requests } = room.session;
    const adding = ["d", "e", "f"].map((name) => requests.add(record(name)));
    expect(await far.line()).toStartWith("ADD <d,");
    expect(await far.line()).toStartWith("ADD <e,");
    far.say("OK\nOK\n");
    await Promise.all(adding);
    expect(far.waiting).toHaveLength(0);
  });
});
