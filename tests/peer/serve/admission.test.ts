// Which downloaders are served: passes by the tracker's key, address and time, and FT/1 downloaders by the tracker's word.

import { describe, expect, test } from "bun:test";
import type { Standing } from "../../../lib/peer/online/standing.ts";
import { Admission } from "../../../lib/peer/serve/admission.ts";
import type { PassCheck } from "../../../lib/peer/serve/types.ts";
import { PassOffice, SessionKey } from "../../../lib/protocol/pass.ts";
import { addressOf, HandClock } from "../../helpers/channel.ts";

const office = new PassOffice();
const DOWNLOADER = addressOf("192.168.1.30");

const NONCE = "nobody-can-guess-this";
/** Where this peer's record says that it serves. */
const HERE = { address: addressOf("192.168.1.17"), port: 1235 };

type Answer = boolean | undefined | ((address: string) => Promise<boolean>);

function admission(more: Partial<Standing> = {}, known: Answer = true, signers: { key: string; ahead: number }[] = []) {
  const clock = new HandClock();
  const standing: Standing = {
    profile: 2,
    you: addressOf("192.168.1.17"),
    tracker: addressOf("192.168.1.2"),
    local: addressOf("192.168.1.17"),
    max: 5,
    key: office.key,
    pass: "",
    keyed: "",
    id: "p1",
    ahead: 0,
    lifetime: 600,
    ...more,
  };
  const asked: string[] = [];
  const one = new Admission({
    standing: () => standing,
    signers: () => signers,
    askKnown: async (address) => {
      asked.push(address);
      return typeof known === "function" ? known(address) : known;
    },
    isOfThisMachine: () => false,
    port: () => 1235,
    nonce: () => NONCE,
    clock,
  });
  const pass = (secondsLeft: number, from: PassOffice = office) =>
    from.issue({ id: "p7", address: DOWNLOADER, expires: Math.floor(clock.at() / 1000) + secondsLeft });
  return { admission: one, asked, clock, pass };
}

describe("Admission.checkPass, from another address than the tracker sees", () => {
  const session = new SessionKey();
  const TRANSLATED = addressOf("10.9.0.1");

  function shown(
    keyed: { id?: string; key?: string; secondsLeft?: number; from?: PassOffice } = {},
    more: Partial<Standing> = {},
  ) {
    const { admission: one, clock, pass } = admission(more);
    const { id = "p7", key = session.key, secondsLeft = 60, from = office } = keyed;
    const text = from.issueKeyed({ id, key, expires: Math.floor(clock.at() / 1000) + secondsLeft }) ?? "";
    return { one, check: one.checkPass(pass(60), TRANSLATED, text) };
  }

  function accepts(check: PassCheck, at = HERE, key = session, nonce = NONCE): boolean {
    if (!("nonce" in check)) throw new Error("it wants no proof");
    return check.accepts(at, key.provePass(nonce, at) ?? "");
  }

  test("a peer that proves that it has the key in its keyed pass is accepted", () => {
    const { check } = shown();
    expect(check).toMatchObject({ id: "p7", nonce: NONCE });
    expect(accepts(check)).toBe(true);
  });

  test("a peer that has overheard both passes is not: it lacks the key, or has an earlier proof", () => {
    const { check } = shown();
    expect(accepts(check, HERE, new SessionKey())).toBe(false);
    expect(accepts(check, HERE, session, "an-earlier-nonce-of-this")).toBe(false);
    if ("nonce" in check) expect(check.accepts(HERE, "")).toBe(false);
  });

  test("a proof that was made for another holder is none here", () => {
    const { check } = shown();
    expect(accepts(check, { ...HERE, port: 1236 })).toBe(false);
    expect(accepts(check, { ...HERE, address: addressOf("192.168.1.66") })).toBe(false);
  });

  test("a holder behind an address translation goes by the address that its tracker sees", () => {
    const outside = addressOf("10.9.0.9");
    expect(accepts(shown({}, { you: outside }).check, { address: outside, port: 1235 })).toBe(true);
  });

  test("a keyed pass of another tracker, of another peer, or that has expired, changes nothing", () => {
    const refusal = expect.stringMatching(/another address than 10\.9\.0\.1/);
    for (const keyed of [{ from: new PassOffice() }, { id: "p8" }, { secondsLeft: -1 }, { key: "no key" }]) {
      expect(shown(keyed).check).toEqual({ refusal });
    }
  });
});

describe("Admission.checkPass", () => {
  test("is not changed by setting this machine's clock", () => {
    for (const day of [86_400_000, -86_400_000]) {
      const { admission: one, clock, pass } = admission();
      const good = pass(60);
      clock.step(day);
      expect(one.checkPass(good, DOWNLOADER)).toEqual({ id: "p7" });
      clock.spend(61_000);
      expect(one.checkPass(good, DOWNLOADER)).toEqual({ refusal: "The pass has expired." });
    }
  });

  test("gives the id of a good pass", () => {
    const { admission: one, pass } = admission();
    expect(one.checkPass(pass(60), DOWNLOADER)).toEqual({ id: "p7" });
  });

  test("refuses a pass of another tracker, of another address, and one that is none", () => {
    const { admission: one, pass } = admission();
    expect(one.checkPass(pass(60, new PassOffice()), DOWNLOADER)).toEqual({ refusal: expect.stringMatching(/tracker/) });
    expect(one.checkPass(pass(60), addressOf("192.168.1.31"))).toEqual({ refusal: expect.stringMatching(/192\.168\.1\.31/) });
    expect(one.checkPass("", DOWNLOADER)).toEqual({ refusal: expect.stringMatching(/tracker/) });
  });

  test("counts a pass's time by the tracker's clock", () => {
    const slow = admission({ ahead: 120_000 });
    expect(slow.admission.checkPass(slow.pass(60), DOWNLOADER)).toEqual({ refusal: "The pass has expired." });
    const fast = admission({ ahead: -120_000 });
    expect(fast.admission.checkPass(fast.pass(-60), DOWNLOADER)).toEqual({ id: "p7" });
  });

  test("refuses the pass of a peer whose id the tracker has revoked, and tells those that watch it", () => {
    const { admission: one, pass } = admission();
    const told: string[] = [];
    one.whenRevoked("p7", () => told.push("p7"));
    one.whenRevoked("p7", () => told.push("gone"))();
    one.whenRevoked("p8", () => told.push("p8"));
    one.revoke(["p6", "p7"]);
    expect(told).toEqual(["p7"]);
    expect(one.checkPass(pass(60), DOWNLOADER)).toEqual({ refusal: expect.stringMatching(/operator/) });
    // A tracker that revokes without end takes no memory without end.
    one.revoke(Array.from({ length: 20_000 }, (_, i) => `q${i}`));
    expect(one.checkPass(pass(60), DOWNLOADER)).toEqual({ id: "p7" });
  });

  test("refuses every pass while this peer is out of its private room, and ends what goes on", () => {
    const { admission: one, pass } = admission();
    const told: string[] = [];
    one.whenRevoked("p7", (why) => told.push(why));
    one.shutOut();
    expect(told).toEqual(["the private room has another key"]);
    expect(one.checkPass(pass(60), DOWNLOADER)).toEqual({ refusal: expect.stringMatching(/room/) });
    one.joined();
    expect(one.checkPass(pass(60), DOWNLOADER)).toEqual({ id: "p7" });
  });

  test("refuses every pass at a basic tracker", () => {
    const { admission: one, pass } = admission({ profile: 1 });
    expect(one.checkPass(pass(60), DOWNLOADER)).toEqual({ refusal: "This peer's tracker gives no passes." });
  });
});

describe("Admission.isKnown", () => {
  test("asks the tracker, and again 30 s after it said yes", async () => {
    const { admission: one, asked, clock } = admission();
    expect(await one.isKnown(DOWNLOADER)).toBe(true);
    await clock.pass(29_999);
    expect(await one.isKnown(DOWNLOADER)).toBe(true);
    expect(asked).toEqual([DOWNLOADER]);
    await clock.pass(1);
    expect(await one.isKnown(DOWNLOADER)).toBe(true);
    expect(asked).toEqual([DOWNLOADER, DOWNLOADER]);
  });

  test("remembers a no for 2 s", async () => {
    const { admission: one, asked, clock } = admission({}, false);
    for (let i = 0; i < 1500; i++) expect(await one.isKnown(DOWNLOADER)).toBe(false);
    await clock.pass(1_999);
    expect(await one.isKnown(DOWNLOADER)).toBe(false);
    expect(asked).toHaveLength(1);
    await clock.pass(1);
    expect(await one.isKnown(DOWNLOADER)).toBe(false);
    expect(asked).toHaveLength(2);
  });

  test("asks once for connections of one address that come at the same time", async () => {
    const { admission: one, asked } = admission();
    expect(await Promise.all(Array.from({ length: 100 }, () => one.isKnown(DOWNLOADER)))).toEqual(Array(100).fill(true));
    expect(asked).toHaveLength(1);
  });

  test("a failed question is no yes, and is not remembered", async () => {
    let fails = true;
    const { admission: one } = admission({}, () => (fails ? Promise.reject(new Error("away")) : Promise.resolve(true)));
    expect(await one.isKnown(DOWNLOADER).catch(() => false)).toBe(false);
    fails = false;
    expect(await one.isKnown(DOWNLOADER)).toBe(true);
  });

  test("a host with thousands of addresses has few questions, and another host is still asked about", async () => {
    const { admission: one, asked, clock } = admission({}, (address) => Promise.resolve(address === DOWNLOADER));
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 50; i++) await one.isKnown(addressOf(`2001:db8::${second}:${i + 1}`));
      await clock.pass(1000);
    }
    expect(asked.length).toBeLessThanOrEqual(34);
    expect(await one.isKnown(DOWNLOADER)).toBe(true);
  });

  test("all hosts together ask five times a second, so that the session is left to this peer itself", async () => {
    const { admission: one, asked, clock } = admission({}, false);
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 50; i++) await one.isKnown(addressOf(`10.1.${second}.${i + 1}`));
      await clock.pass(1000);
    }
    expect(asked.length).toBeLessThanOrEqual(20 + 5 * 60);
  });

  test("few questions wait at a tracker that does not answer; an address beyond them is refused at once", async () => {
    const never = Promise.withResolvers<boolean>();
    const { admission: one, asked } = admission({}, () => never.promise);
    const waiting = Array.from({ length: 8 }, (_, i) => one.isKnown(addressOf(`10.0.0.${i + 1}`)));
    expect(await one.isKnown(DOWNLOADER)).toBe(false);
    never.resolve(true);
    expect(await Promise.all(waiting)).toEqual(Array(8).fill(true));
    expect(asked).toHaveLength(8);
    expect(await one.isKnown(DOWNLOADER)).toBe(true);
  });

  test("is true where the tracker cannot say", async () => {
    const { admission: one } = admission({ profile: 1 }, undefined);
    expect(await one.isKnown(DOWNLOADER)).toBe(true);
  });

  test("asks for a downloader on this machine by this peer's address at the tracker", async () => {
    const { admission: one, asked } = admission();
    await one.isKnown(addressOf("127.0.0.1"));
    expect(asked).toEqual(["192.168.1.17"]);
  });
});

describe("Admission.refuseTicket", () => {
  const ROOT = "c".repeat(64);
  const GUEST = addressOf("192.168.1.50");

  function shown(
    ticket: { secondsLeft?: number; root?: string; from?: PassOffice; address?: string } = {},
    more: Partial<Standing> = {},
  ) {
    const { admission: one, clock } = admission({ guests: true, ...more });
    const { secondsLeft = 600, root = ROOT, from = office, address = GUEST } = ticket;
    const expires = Math.floor(clock.at() / 1000) + secondsLeft;
    return one.refuseTicket(from.issueTicket({ address: addressOf(address), root, expires }), ROOT, GUEST);
  }

  test("takes the tracker's own ticket for this content and this address, while it is good", () => {
    expect(shown()).toBeUndefined();
    expect(shown({ secondsLeft: -1 })).toBe("This link is more than ten minutes old.");
    expect(shown({ root: "d".repeat(64) })).toBe("This link is for another file.");
    expect(shown({ address: "192.168.1.51" })).toBe("This link is for another computer.");
    expect(shown({ from: new PassOffice() })).toBe("This link is not from this computer's tracker.");
  });

  test("takes none where the tracker sends no guests, or this peer refuses them", () => {
    expect(shown({}, { guests: undefined })).toBe("This link is not from this computer's tracker.");
  });
});

describe("Admission.checkPass, of another tracker that shares its index with this peer's one", () => {
  const other = new PassOffice();
  const session = new SessionKey();

  test("a pass counts by the clock of the tracker that gave it", () => {
    const { admission: one, pass } = admission({}, true, [{ key: other.key, ahead: 300 }]);
    expect(one.checkPass(pass(310, other), DOWNLOADER)).toEqual({ id: "p7" });
    expect(one.checkPass(pass(290, other), DOWNLOADER)).toEqual({ refusal: "The pass has expired." });
    expect(one.checkPass(pass(60), DOWNLOADER)).toEqual({ id: "p7" });
  });

  test("its revoked peers are refused, and a tracker that only says that it is in the group gives no good passes", () => {
    const { admission: one, pass } = admission({}, true, [{ key: other.key, ahead: 0 }]);
    one.revoke(["p7"]);
    expect(one.checkPass(pass(60, other), DOWNLOADER)).toHaveProperty("refusal");
    const alone = admission();
    expect(alone.admission.checkPass(alone.pass(60, other), DOWNLOADER)).toHaveProperty("refusal");
  });

  test("loopback in a pass is the machine of that tracker, so the peer has to prove its key", () => {
    const { admission: one, clock } = admission({}, true, [{ key: other.key, ahead: 0 }]);
    const expires = Math.floor(clock.at() / 1000) + 60;
    const pass = other.issue({ id: "p7", address: addressOf("127.0.0.1"), expires });
    const keyed = other.issueKeyed({ id: "p7", key: session.key, expires }) ?? "";
    // This peer's own tracker has the address of the peer that shows the pass.
    const check = one.checkPass(pass, addressOf("192.168.1.2"), keyed);
    if (!("nonce" in check)) throw new Error("it wants no proof");
    expect(check.accepts(HERE, session.provePass(NONCE, HERE) ?? "")).toBe(true);
    expect(one.checkPass(pass, addressOf("192.168.1.2"), "")).toHaveProperty("refusal");
  });
});
