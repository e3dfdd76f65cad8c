// Two peers and the tracker between them, in memory: connections are had by dialling or by being connected to, whatever firewalls

import { describe, expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { systemClock } from "../../../lib/clock.ts";
import { CancelledError, FtError } from "../../../lib/error.ts";
import type { Channel } from "../../../lib/net/channel.ts";
import { dial } from "../../../lib/net/dial.ts";
import { listen } from "../../../lib/net/listen.ts";
import { Connector } from "../../../lib/peer/connect/connect.ts";
import { sha256 } from "../../../lib/peer/content/hash.ts";
import { fetchFile } from "../../../lib/peer/fetch/fetch.ts";
import { Server } from "../../../lib/peer/serve/serve.ts";
import { PassOffice } from "../../../lib/protocol/pass.ts";
import { addressOf, connection, type Far, REFUSED, type Side, settle } from "../../helpers/channel.ts";
import {
  CONTENT,
  expecting,
  type Host,
  isWaiting,
  listenOn,
  NAME,
  ROOT,
  STRANGER,
  World,
} from "../../helpers/connect-world.ts";
import { contentId } from "../../helpers/holder.ts";

describe("a file from a holder", () => {
  test("that can be dialled: the tracker is not asked for anything", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    expect(await world.fetch(wanter, holder.record())).toBe("Hello, world");
    await world.clock.pass(10_000);
    expect([wanter.dialled, holder.dialled, wanter.asked]).toEqual([["192.168.1.31:1235"], [], []]);
  });

  test("that has its address and port with others, behind one router: it is asked by its id, and nobody is dialled there", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    expect(await world.fetch(wanter, holder.record({ peer: "p7" }))).toBe("Hello, world");
    expect([wanter.dialled, holder.dialled]).toEqual([[], ["192.168.1.17:1235"]]);
    world.tracker = async () => false;
    const { message } = await world.failure(wanter.connector.open(holder.record({ peer: "p7" })));
    expect(message).toBe("several peers behind one router have this address and port");
  });

  test.each([
    ["silently drops", "silence" as const],
    ["refuses", REFUSED],
  ])(
    "whose firewall %s connections: it comes when the tracker asks it to, with the token and nothing else",
    async (_what, fate) => {
      const world = new World();
      const { wanter, holder } = world.pair();
      world.fate = (from) => (from === wanter ? fate : undefined);
      expect(await world.fetch(wanter, holder.record())).toBe("Hello, world");
      expect(wanter.asked).toEqual([{ ...holder.at, token: wanter.tokens[0] ?? "" }]);
      expect(holder.dialled).toEqual(["192.168.1.17:1235"]);
      await world.clock.pass(10_000);
      expect([wanter.refusals, holder.refusals]).toEqual([[], []]);
      expect([...wanter.made, ...holder.made].map(({ closed }) => closed)).toEqual([true, true]);
    },
  );

  test("which the tracker could not connect to: it is asked at once, without a head start for dialling", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    world.firewall(holder);
    const start = world.clock.at();
    const channel = await world.during(wanter.connector.open(holder.record({ unreachable: true })));
    expect(world.clock.at() - start).toBeLessThanOrEqual(50);
    expect(channel.remote.address).toBe(holder.at.address);
  });

  test("that is only slow to answer: for three tenths of a second nobody is asked", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    world.firewall(holder);
    const opening = wanter.connector.open(holder.record());
    await world.clock.pass(299);
    expect(wanter.asked).toEqual([]);
    await world.clock.pass(1);
    expect(wanter.asked).toHaveLength(1);
    await opening;
  });

  test("that speaks FT/1 is dialled and nothing else, also when the tracker could not connect to it", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    world.firewall(holder);
    const { message } = await world.failure(wanter.connector.open(holder.record({ v2: false, unreachable: true })));
    expect(message).toBe("no answer within 5 s");
    expect([wanter.asked, wanter.tokens]).toEqual([[], []]);
  });
});

describe("the connection that comes", () => {
  test("byte for byte", async () => {
    const { wanter, opening, token } = await expecting();
    const { far } = wanter.meet(STRANGER);
    far.say(`HELLO FT/2 token=${token}\n`);
    const channel = await opening;
    await settle();
    expect(far.total).toBe(0);
    channel.send("HELLO FT/2 pass=p.s\n");
    expect(await far.line()).toBe("HELLO FT/2 pass=p.s");
    const heard = listenOn(channel);
    far.say("HI FT/2\n");
    await settle();
    expect([heard.text(), far.total, wanter.refusals]).toEqual(["HI FT/2\n", 20, []]);
  });

  test("may say its line in single bytes", async () => {
    const { wanter, opening, token } = await expecting();
    const { far } = wanter.meet(STRANGER);
    far.stutter(`HELLO FT/2 token=${token}\r\n`);
    const channel = await opening;
    expect(channel.closed).toBe(false);
    expect(channel.remote).toEqual(STRANGER);
  });

  test("a token is good once: the second connection that says it is refused, and the first goes on", async () => {
    const { wanter, opening, token } = await expecting();
    const [first, second] = [wanter.meet(STRANGER), wanter.meet({ ...STRANGER, port: 51_001 })];
    first.far.say(`HELLO FT/2 token=${token}\n`);
    second.far.say(`HELLO FT/2 token=${token}\n`);
    expect((await opening).remote).toEqual(STRANGER);
    expect(await second.far.line()).toStartWith("ERROR not-accepted ");
    await second.far.until(() => second.far.over);
    expect([first.far.over, first.far.total]).toEqual([false, 0]);
    expect(wanter.refusals).toEqual(["Nobody here has asked for this connection."]);
  });

  test.each([
    ["unknown", "somebody-else-s"],
    ["empty", ""],
    ["in other letters", "SECRET-192-168-1-17-0"],
    ["as long as a line can be", "x".repeat(4000)],
    ["of the map's own words", "__proto__"],
  ])("a token that is %s is refused, written down, and the right one is still good", async (_what, wrong) => {
    const { wanter, opening, token } = await expecting();
    const { far } = wanter.meet(STRANGER);
    far.say(`HELLO FT/2 token=${wrong}\n`);
    expect((await far.rest()).toString()).toBe("ERROR not-accepted Nobody here has asked for this connection.\n");
    expect(wanter.log).toEqual([
      { event: "download-refused", address: STRANGER.address, reason: "Nobody here has asked for this connection." },
    ]);
    expect(await isWaiting(opening)).toBe(true);
    wanter.meet(STRANGER).far.say(`HELLO FT/2 token=${token}\n`);
    expect((await opening).closed).toBe(false);
  });

  test("a token is good for five seconds", async () => {
    const { world, wanter, opening, token } = await expecting();
    await world.clock.pass(4999);
    expect(await isWaiting(opening)).toBe(true);
    const { message } = await world.failure(opening);
    expect(message).toContain("did not come");
    const { far } = wanter.meet(STRANGER);
    far.say(`HELLO FT/2 token=${token}\n`);
    expect(await far.line()).toStartWith("ERROR not-accepted ");
    expect(wanter.refusals).toHaveLength(1);
  });

  test("nothing is good when nobody was asked for", async () => {
    const world = new World();
    const { wanter } = world.pair();
    const { far } = wanter.meet(STRANGER);
    far.say("HELLO FT/2 token=secret-192-168-1-17-0\n");
    expect(await far.line()).toStartWith("ERROR not-accepted ");
  });

  test.each(["\n", "x", "TREE root=", `DOWNLOAD root=${ROOT}\n`, "HI FT/2\n", "BYE\nBYE\n"])(
    "with more behind its token (%j) it is refused: it is not its turn",
    async (more) => {
      const { wanter, opening, token } = await expecting();
      const { far } = wanter.meet(STRANGER);
      far.say(`HELLO FT/2 token=${token}\n${more}`);
      expect(await far.line()).toStartWith("ERROR unexpected ");
      await far.until(() => far.over);
      expect(wanter.refusals).toHaveLength(1);
      expect(await isWaiting(opening)).toBe(true);
      // It has given nothing away by that.
      wanter.meet(STRANGER).far.say(`HELLO FT/2 token=${token}\n`);
      expect((await opening).closed).toBe(false);
    },
  );

  test("a token after a pass is refused, and the pass after a token too", async () => {
    const { world, wanter, opening, token } = await expecting();
    const { far } = wanter.meet(STRANGER);
    far.say(`HELLO FT/2 pass=${world.passFor(STRANGER.address)}\n`);
    expect(await far.line()).toBe("HI FT/2");
    far.say(`HELLO FT/2 token=${token}\n`);
    expect(await far.line()).toStartWith("ERROR unexpected ");
    await far.until(() => far.over);
    expect(await isWaiting(opening)).toBe(true);
  });

  test("a pass beside the token changes nothing: the connection is not served", async () => {
    const { world, wanter, opening } = await expecting();
    const { far } = wanter.meet(STRANGER);
    far.say(`HELLO FT/2 token=guess pass=${world.passFor(STRANGER.address)}\n`);
    expect(await far.line()).toStartWith("ERROR not-accepted ");
    expect(await isWaiting(opening)).toBe(true);
  });
});

describe("somebody asks to be connected to", () => {
  /** A peer that is asked, and whose own dials end as the test says. */
  function asked(): { world: World; host: Host; ask: (address: string, count?: number) => void } {
    const world = new World();
    const host = world.host("192.168.1.31");
    const ask = (address: string, count = 1) => {
      for (let i = 0; i < count; i++) void host.connector.callBack({ address: addressOf(address), port: 1235, token: `t${i}` });
    };
    return { world, host, ask };
  }

  test.each([
    "0.0.0.0",
    "0.1.2.3",
    "255.255.255.255",
    "224.0.0.251",
    "239.255.255.250",
    "240.0.0.1",
    "::",
    "ff02::fb",
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
  ])("at %s, which cannot be meant: it is not dialled", async (address) => {
    const { host, ask } = asked();
    ask(address, 32);
    await settle();
    expect(host.dialled).toEqual([]);
    // What was not dialled counts against nobody.
    ask("192.168.1.17", 4);
    await settle();
    expect(host.dialled).toHaveLength(4);
  });

  test("sixteen are under way at once at the most, four to one address; one that ends makes room for another", async () => {
    const { world, host, ask } = asked();
    const gates = Array.from({ length: 40 }, () => Promise.withResolvers<void>());
    world.fate = () => gates[host.dialled.length - 1]?.promise;
    ask("192.168.1.17", 20);
    await settle();
    expect(host.dialled).toHaveLength(4);
    for (const last of [18, 19, 20, 21]) ask(`192.168.1.${last}`, 20);
    await settle();
    expect(host.dialled).toHaveLength(16);
    gates[3]?.resolve();
    gates[7]?.reject(REFUSED);
    await settle();
    ask("192.168.1.21", 5);
    await settle();
    expect(host.dialled).toHaveLength(18);
    for (const gate of gates) gate.resolve();
  });

  test("twenty at one address with a silent port take four dials, and one at another address is dialled at once", async () => {
    const { world, host, ask } = asked();
    world.fate = (_from, { address }) => (address === "192.168.1.66" ? "silence" : REFUSED);
    ask("192.168.1.66", 20);
    await settle();
    ask("192.168.1.17");
    await settle();
    expect(host.dialled).toEqual([...Array(4).fill("192.168.1.66:1235"), "192.168.1.17:1235"]);
  });

  test("thirty-two at once, then eight a second, and none is made up for later", async () => {
    const { world, host, ask } = asked();
    world.fate = () => REFUSED;
    const dialled: number[] = [];
    for (const pause of [0, 1000, 0, 500]) {
      await world.clock.pass(pause);
      const before = host.dialled.length;
      for (let last = 1; last <= 20; last++) {
        ask(`192.168.1.${last}`);
        ask(`192.168.1.${last}`);
        await settle();
      }
      dialled.push(host.dialled.length - before);
    }
    expect(dialled).toEqual([32, 8, 0, 4]);
  });

  test("an address where nobody shows a pass is dialled eight times, then once a minute, whatever the ports", async () => {
    const { world, host } = asked();
    world.fate = () => REFUSED;
    const ask = async (seconds: number) => {
      for (let i = 0; i < seconds; i++) {
        void host.connector.callBack({ address: addressOf("192.168.1.17"), port: 2000 + host.dialled.length, token: "t" });
        await world.clock.pass(1000);
      }
      return host.dialled.length;
    };
    expect(await ask(59)).toBe(8);
    expect(await ask(600)).toBe(18);
  });

  test("an address where a peer shows its pass has all its tries again", async () => {
    const { world, host, ask } = asked();
    world.fate = () => REFUSED;
    for (let i = 0; i < 20; i++) {
      ask("192.168.1.17");
      await settle();
      host.connector.proven(addressOf("192.168.1.17"));
      await world.clock.pass(125);
    }
    expect(host.dialled).toHaveLength(20);
  });

  test("at hundreds of addresses in turn: sixty-four are dialled, and others after four minutes a host", async () => {
    const { world, host, ask } = asked();
    world.fate = () => REFUSED;
    for (let i = 0; i < 400; i++) {
      ask(`10.0.${i >> 8}.${i & 255}`);
      await world.clock.pass(200);
    }
    expect(host.dialled).toHaveLength(64);
  });

  test("one IPv6 network counts as one host", async () => {
    const { world, host, ask } = asked();
    world.fate = () => REFUSED;
    for (let i = 1; i <= 32; i++) {
      ask(`2001:db8::${i}`);
      await settle();
    }
    expect(host.dialled).toHaveLength(8);
  });

  test("and is not there: nothing is said, and nothing is left", async () => {
    const { world, host, ask } = asked();
    ask("192.168.1.17");
    await settle();
    expect([host.dialled, host.log]).toEqual([["192.168.1.17:1235"], []]);
    expect(world.clock.untilNext).toBe(Number.POSITIVE_INFINITY);
  });

  test("who comes then is looked at as ever: without a right pass for its address it gets nothing", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    world.firewall(holder);
    const cases: [string, RegExp][] = [
      [world.passFor("192.168.1.18"), /another address than 192\.168\.1\.17/],
      [new PassOffice().issue({ id: "x", address: wanter.at.address, expires: 9_999_999_999 }), /not from this peer's tracker/],
      ["", /not from this peer's tracker/],
    ];
    for (const [pass, why] of cases) {
      const channel = await world.during(wanter.connector.open(holder.record()));
      const heard = listenOn(channel);
      channel.send(`HELLO FT/2 pass=${pass}\nDOWNLOAD root=${ROOT} offset=0 length=12\n`);
      await settle();
      expect(heard.text()).toStartWith("ERROR not-accepted ");
      expect([heard.text().includes("FILE"), heard.over()]).toEqual([false, true]);
      expect(holder.refusals.at(-1)).toMatch(why);
    }
    const channel = await world.during(wanter.connector.open(holder.record()));
    const heard = listenOn(channel);
    channel.send(`DOWNLOAD root=${ROOT} offset=0 length=12\n`);
    await settle();
    expect([heard.text(), heard.over()]).toEqual(["", true]);
    expect(holder.refusals.at(-1)).toBe("the tracker does not know it");
  });

  test("who comes then and says nothing is hung up on", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    const mute = connection(wanter.at, world.clock);
    const server = new Server({
      open: () => undefined,
      look: () => undefined,
      sha256,
      clock: world.clock,
      changed: () => undefined,
      readPass: () => ({ id: "x" }),
      known: async () => false,
      report: () => undefined,
    });
    const connector = new Connector({
      dial: async () => mute.near,
      ask: async () => false,
      serve: (channel) => server.accept(channel),
      isDialable: () => true,
      mayCallBack: async () => true,
      local: () => holder.at.address,
      closed: () => "",
      token: () => "t",
      clock: world.clock,
    });
    await connector.callBack({ ...wanter.at, token: "abc" });
    expect(await mute.far.line()).toBe("HELLO FT/2 token=abc");
    await world.clock.pass(9_999);
    expect(mute.far.over).toBe(false);
    await world.clock.pass(1);
    expect(mute.far.over).toBe(true);
  });
});

describe("both ways succeed", () => {
  /** Exactly one connection is left, and it works. */
  async function expectOne(world: World, wanter: Host, holder: Host, channel: Channel): Promise<void> {
    await world.clock.pass(20_000);
    const heard = listenOn(channel);
    channel.send(`HELLO FT/2 pass=${wanter.pass}\nDOWNLOAD root=${ROOT} offset=0 length=12\n`);
    await settle();
    expect(heard.text()).toBe("HI FT/2\nFILE: length=12 size=12\nHello, world");
    expect([wanter, holder].map(({ made }) => made.map(({ closed }) => closed).sort())).toEqual([
      [false, true],
      [false, true],
    ]);
  }

  test("dialling first: the holder that comes later is sent away", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    const [direct, back] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    world.fate = (from) => (from === wanter ? direct.promise : back.promise);
    const opening = wanter.connector.open(holder.record());
    await world.clock.pass(400);
    expect(holder.dialled).toHaveLength(1);
    direct.resolve();
    const channel = await opening;
    back.resolve();
    expect(channel).toBe(wanter.made[0] as Side);
    await settle();
    expect(wanter.accepted).toHaveLength(1);
    holder.made[0]?.limit({ deadline: undefined });
    await expectOne(world, wanter, holder, channel);
  });

  test("the holder comes first: a dial that is answered later is given up", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    const [direct, back] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    world.fate = (from) => (from === wanter ? direct.promise : back.promise);
    const opening = wanter.connector.open(holder.record());
    await world.clock.pass(400);
    back.resolve();
    const channel = await opening;
    direct.resolve();
    await settle();
    expect(channel).toBe(wanter.accepted[0] as Side);
    expect(wanter.made).toHaveLength(1);
    const heard = listenOn(channel);
    channel.send(`HELLO FT/2 pass=${wanter.pass}\n`);
    await settle();
    expect(heard.text()).toBe("HI FT/2\n");
  });

  test.each(["dialling", "coming"])(
    "at the same moment (%s a hair earlier): one is used, the other is closed",
    async (earlier) => {
      const world = new World();
      const { wanter, holder } = world.pair();
      const taken: { near: Side; far: Far }[] = [];
      const dialled = Promise.withResolvers<Side>();
      const connector = new Connector({
        dial: async () => dialled.promise,
        ask: async () => true,
        serve: () => undefined,
        isDialable: () => true,
        mayCallBack: async () => true,
        local: () => wanter.at.address,
        closed: () => "",
        token: () => "t",
        clock: world.clock,
      });
      const opening = connector.open(holder.record());
      await world.clock.pass(300);
      const [direct, back] = [connection(holder.at), connection(holder.at)];
      taken.push(direct, back);
      if (earlier === "dialling") dialled.resolve(direct.near);
      expect(connector.arrived("t", back.near)).toBe(true);
      if (earlier === "coming") dialled.resolve(direct.near);
      const channel = await opening;
      await settle();
      expect(taken.map(({ far }) => far.over).sort()).toEqual([false, true]);
      expect(taken.find(({ far }) => !far.over)?.near).toBe(channel as Side);
      expect(world.clock.untilNext).toBe(Number.POSITIVE_INFINITY);
    },
  );
});

describe("neither way succeeds", () => {
  test("one clause tells of both ways", async () => {
    const { world, opening } = await expecting();
    const error = await world.failure(opening);
    expect(error.code).toBe("unreachable");
    expect(error.message).toBe("no answer within 5 s, and it did not come when it was asked to connect back");
  });

  test("when nobody can connect to this peer either, that is said", async () => {
    const { world, wanter, opening } = await expecting();
    wanter.closed = "nobody can connect to port 1235 of this machine either";
    const { message } = await world.failure(opening);
    expect(message).toBe(
      "no answer within 5 s, and it did not come when it was asked to connect back, because nobody can connect to port 1235 of " +
        "this machine either",
    );
  });

  test.each([
    ["does not know the holder", async () => false],
    [
      "is away",
      async () => {
        throw new FtError("tracker-gone", "The tracker is away.");
      },
    ],
  ])("a tracker that %s is not the person's business: only why it could not be dialled is told", async (_what, tracker) => {
    const world = new World();
    const { wanter, holder } = world.pair();
    world.fate = () => REFUSED;
    world.tracker = tracker;
    const start = world.clock.at();
    const { message } = await world.failure(wanter.connector.open(holder.record()));
    expect(message).toBe(REFUSED.message);
    expect(world.clock.at() - start).toBeLessThan(300);
    expect(world.clock.untilNext).toBe(Number.POSITIVE_INFINITY);
  });

  test("a tracker that never answers holds nobody up for more than five seconds", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    world.fate = () => REFUSED;
    world.tracker = () => new Promise(() => {});
    const start = world.clock.at();
    await world.failure(wanter.connector.open(holder.record()));
    expect(world.clock.at() - start).toBeLessThanOrEqual(5_050);
  });

  test("each try makes up a token of its own", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    world.firewall(holder, wanter);
    await world.failure(wanter.connector.open(holder.record()));
    await world.failure(wanter.connector.open(holder.record()));
    expect(new Set(wanter.asked.map(({ token }) => token)).size).toBe(2);
  });
});

describe("a holder that is online by another kind of address", () => {
  test.each([
    ["192.168.1.17", "2001:db8::31"],
    ["2001:db8::17", "192.168.1.31"],
    ["fe80::17", "2001:db8::31"],
    ["2001:db8::17", "fe80::31"],
    ["192.168.1.17", "fe80::31"],
  ])("seen from %s, one at %s is not dialled, but asked to come at once", async (here, there) => {
    const world = new World();
    const [wanter, holder] = [world.host(here), world.host(there)];
    const start = world.clock.at();
    const channel = await world.during(wanter.connector.open(holder.record()));
    expect(channel.remote.address).toBe(addressOf(there));
    expect(world.clock.at() - start).toBeLessThanOrEqual(50);
    expect([wanter.dialled, holder.dialled.length]).toEqual([[], 1]);
  });

  test.each([
    ["does not come", async () => true],
    ["is not known to the tracker", async () => false],
  ])("and %s: the clause says so, and names no way that was not tried", async (what, tracker) => {
    const world = new World();
    const [wanter, holder] = [world.host("192.168.1.17"), world.host("2001:db8::31")];
    world.tracker = tracker;
    const error = await world.failure(wanter.connector.open(holder.record()));
    expect(error.code).toBe("unreachable");
    expect(error.message).toMatch(/another .* address.*IPv4.*IPv6/);
    expect(error.message).not.toMatch(/\.$|no answer|refused/);
    expect(error.message.includes("did not come")).toBe(what === "does not come");
    expect(wanter.dialled).toEqual([]);
  });

  test("when nobody can connect to this peer either, that is said here, too", async () => {
    const world = new World();
    const [wanter, holder] = [world.host("192.168.1.17"), world.host("2001:db8::31")];
    world.tracker = async () => true;
    wanter.closed = "nobody can connect to port 1235 of this machine either";
    const { message } = await world.failure(wanter.connector.open(holder.record()));
    expect(message).toContain(wanter.closed);
  });

  test.each([
    ["192.168.1.17", "10.0.0.31"],
    ["fe80::17", "fe80::31"],
    ["2001:db8::17", "fd00::31"],
  ])("of the same kind (%s and %s) is dialled", async (here, there) => {
    const world = new World();
    const [wanter, holder] = [world.host(here), world.host(there)];
    await world.during(wanter.connector.open(holder.record()));
    expect([wanter.dialled.length, wanter.asked]).toEqual([1, []]);
  });

  test("a peer whose address is translated on the way to its tracker dials: its own end is the same for both", async () => {
    const world = new World();
    const [wanter, holder] = [world.host("192.168.7.2"), world.host("10.9.0.9")];
    wanter.local = addressOf("192.168.7.2");
    const channel = await world.during(wanter.connector.open(holder.record()));
    expect([String(channel.local.address), wanter.asked]).toEqual(["192.168.7.2", []]);
  });

  test("a peer that does not know its own address yet dials", async () => {
    const world = new World();
    const [wanter, holder] = [world.host("192.168.1.17"), world.host("2001:db8::31")];
    wanter.local = undefined;
    await world.during(wanter.connector.open(holder.record()));
    expect(wanter.dialled).toEqual(["2001:db8::31:1235"]);
  });
});

describe("stopping", () => {
  test("ends the waiting at once, and the token is good no more", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    world.firewall(holder);
    world.tracker = async () => true;
    const stop = new AbortController();
    const opening = wanter.connector.open(holder.record(), { signal: stop.signal });
    await world.clock.pass(1000);
    stop.abort();
    expect(await world.failure(opening)).toBeInstanceOf(CancelledError);
    expect(getEventListeners(stop.signal, "abort")).toEqual([]);
    const { far } = wanter.meet(STRANGER);
    far.say(`HELLO FT/2 token=${wanter.tokens[0]}\n`);
    // It was on its way when it was not needed any more: it is hung up on, which is nobody's fault.
    await far.until(() => far.over);
    expect(far.waiting.length).toBe(0);
  });

  test("before it began, nobody is dialled or asked", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    const stop = new AbortController();
    stop.abort();
    for (const record of [holder.record(), holder.record({ v2: false })]) {
      const { code } = await world.failure(wanter.connector.open(record, { signal: stop.signal }));
      expect(code).toBe("cancelled");
    }
    await world.clock.pass(1000);
    expect([wanter.made, wanter.asked]).toEqual([[], []]);
  });
});

describe("on the real network", () => {
  test("a file comes by a connection that its holder made, and every connection is closed afterwards", async () => {
    const world = new World();
    const { wanter, holder } = world.pair();
    const open = new Set<Channel>();
    const accept = (host: Host) => (channel: Channel) => {
      open.add(channel);
      host.server.accept(channel);
    };
    const listeners = [wanter, holder].map((host) => listen({ host: "127.0.0.1", port: 0, onConnection: accept(host) }));
    const [wanterAt, holderAt] = listeners.map(({ port }) => ({ address: addressOf("127.0.0.1"), port }));
    if (wanterAt === undefined || holderAt === undefined) throw new Error("they should listen");
    const tools = {
      isDialable: () => true,
      mayCallBack: async () => true,
      local: () => wanterAt.address,
      closed: () => "",
      token: () => "a-real-token",
      clock: systemClock,
    };
    const coming = new Connector({ ...tools, dial, ask: async () => false, serve: (channel) => holder.server.accept(channel) });
    const asking = new Connector({
      ...tools,
      dial: async () => {
        throw REFUSED;
      },
      ask: async ({ token }) => {
        void coming.callBack({ ...wanterAt, token });
        return true;
      },
      serve: () => undefined,
    });
    wanter.connector.arrived = (token, channel) => asking.arrived(token, channel);
    try {
      const arrived = new Uint8Array(CONTENT.length);
      const { verified } = await fetchFile(
        { name: NAME, size: CONTENT.length, root: ROOT, holders: [holder.record(holderAt)] },
        {
          dial: (record, how) => asking.open(record, how),
          target: { write: async (offset, bytes) => arrived.set(bytes, offset), restart: async () => undefined },
          pass: () => world.passFor("127.0.0.1"),
          layer: async (memory, length) => Uint8Array.fromHex(contentId(new Uint8Array(memory, 0, length).slice())),
          sha256,
          report: () => undefined,
        },
      );
      expect([verified, new TextDecoder().decode(arrived)]).toEqual([true, "Hello, world"]);
      // One connection came to who wanted the file, and none to who had it.
      expect([...open].map(({ local }) => local.port)).toEqual([wanterAt.port]);
      for (const channel of open) {
        if (!channel.closed)
          await new Promise<void>((resolve) => channel.start({ data: () => undefined, close: () => resolve() }));
      }
      expect([wanter.refusals, holder.refusals]).toEqual([[], []]);
    } finally {
      for (const listener of listeners) listener.stop();
    }
  });
});
