// Passes: what a tracker signed is read, what anybody else made up is not.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  isPassProven,
  isProven,
  PassOffice,
  readKeyedPass,
  readPass,
  readTicket,
  SessionKey,
} from "../../lib/protocol/pass.ts";
import { addressOf } from "../helpers/channel.ts";

// The first key of RFC 8032, section 7.1, and passes signed with it elsewhere. Ed25519 signatures are the same every time.
const KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const GOLDEN =
  "cDEgMTkyLjE2OC4xLjE3IDE3OTUzNDUyMDA.t98A-UrPUUSxIgr8ON8frm5PZuq6QuSMxEyf5Hn2nT_M0ydKKsoYsGQ94Ehwzvgn893IlMvWBfObxSmU-ec6Cg";
const GOLDEN_V6 =
  "cDEgMjAwMTpkYjg6OjcgMTc5NTM0NTIwMA.ur3hl5bqynPQC8OszIQmyGP2vy_qEZ0xnDBhk6dfvtUuz929fyO42Q30F2e80XiKjGQyN2bEPeFtJ-k7dp6WCg";

const PASS = { id: "p1", address: addressOf("192.168.1.17"), expires: 1_795_345_200 };

describe("a pass", () => {
  test("byte for byte: base64url of id, address and expiry, a dot, base64url of the signature", () => {
    expect(readPass(GOLDEN, KEY)).toEqual(PASS);
    expect(readPass(GOLDEN_V6, KEY)).toEqual({ ...PASS, address: addressOf("2001:db8::7") });
    const office = new PassOffice();
    const [payload = "", signature = "", ...more] = office.issue(PASS).split(".");
    expect(Buffer.from(payload, "base64url").toString()).toBe("p1 192.168.1.17 1795345200");
    expect(payload).toBe(GOLDEN.split(".")[0] ?? "");
    expect(Buffer.from(signature, "base64url").length).toBe(64);
    expect(more).toEqual([]);
  });

  test("what an office issues is read with its key, and fits into a line as it is", () => {
    const office = new PassOffice();
    expect(Buffer.from(office.key, "base64url").length).toBe(32);
    for (const address of ["127.0.0.1", "2001:db8::1", "fe80::1%eth0"]) {
      const pass = { id: "0123456789abcdef", address: addressOf(address), expires: 0 };
      const text = office.issue(pass);
      expect(text).toMatch(/^[\w-]+\.[\w-]+$/);
      expect(readPass(text, office.key)).toEqual(pass);
    }
    expect(office.key).toMatch(/^[\w-]{43}$/);
  });

  test("every office has a key of its own", () => {
    const [one, other] = [new PassOffice(), new PassOffice()];
    expect(one.key).not.toBe(other.key);
    expect(readPass(one.issue(PASS), other.key)).toBeUndefined();
  });

  test("whether it has expired is not its business", () => {
    const office = new PassOffice();
    expect(readPass(office.issue({ ...PASS, expires: 1 }), office.key)?.expires).toBe(1);
  });
});

describe("what is no pass", () => {
  const [payload = "", signature = ""] = GOLDEN.split(".");
  const CASES: [string, string][] = [
    ["nothing", ""],
    ["a dot", "."],
    ["no signature", payload],
    ["an empty signature", `${payload}.`],
    ["no payload", `.${signature}`],
    ["a third part", `${GOLDEN}.${signature}`],
    ["a trailing dot", `${GOLDEN}.`],
    ["a signature that is cut", GOLDEN.slice(0, -4)],
    ["a signature with more behind it", `${GOLDEN}AAAA`],
    ["another's signature", `${payload}.${GOLDEN_V6.split(".")[1]}`],
    ["a signature of zeros", `${payload}.${"A".repeat(86)}`],
    ["another address", `${Buffer.from("p1 192.168.1.18 1795345200").toString("base64url")}.${signature}`],
    ["a later expiry", `${Buffer.from("p1 192.168.1.17 1795345201").toString("base64url")}.${signature}`],
    ["another id", `${Buffer.from("p2 192.168.1.17 1795345200").toString("base64url")}.${signature}`],
    ["a megabyte", `${"A".repeat(1_000_000)}.${signature}`],
    ["characters that are not base64url", `\u0000\u001b[2J.${signature}`],
  ];
  test.each(CASES)("%s", (_what, text) => {
    expect(readPass(text, KEY)).toBeUndefined();
  });

  test.each([
    ["nothing", ""],
    ["rubbish", "rubbish"],
    ["a key that is too short", KEY.slice(0, 20)],
    ["a key that is too long", KEY + KEY],
    ["zeros", "A".repeat(43)],
    ["a control character", "\u0000"],
  ])("with %s as the key", (_what, key) => {
    expect(readPass(GOLDEN, key)).toBeUndefined();
  });

  // Signed with the right key, but saying what no pass says.
  const SIGNED: [string, string][] = [
    [
      "two words",
      "cDEgMTkyLjE2OC4xLjE3.w_Qn76JSQpRg8D_lF-5No0JfJA0f2W6hHfyYAGTcgcunqBCLojiNkFhERyvyif56pBR9zO-UGkeCH1XJM_qvBQ",
    ],
    [
      "four words",
      "cDEgMTkyLjE2OC4xLjE3IDE3OTUzNDUyMDAgYWRtaW4.lMwabH-84ICG_6ZMXP-8HaQoTnqV-Ol-Bedf5ACasFA_Thbv4LJl4K6DxHeaJmmVi71IGMIbeIe0eWwhbbTtAw",
    ],
    [
      "an empty id",
      "IDE5Mi4xNjguMS4xNyAxNzk1MzQ1MjAw.K-rwxY3A2-Yqg2R4fVub6zhRhY7loLA7pCKgRTI_Hm0b9J5f9iFyG-Kv8F8F6CPLI08OHp6BsWv5wb2IFQqHAw",
    ],
    [
      "an address that is none",
      "cDEgMTkyLjE2OC4xLjMwMCAxNzk1MzQ1MjAw.NEcPkOC9AKNYbQqEsPsnAWzP_I4mIcLHGf0I1VEsqOnA6JLqSeOSVfSZ1uNLdMWOfsQDm3fk47cVSRo1kQWADQ",
    ],
    [
      "a host's name",
      "cDEgZXhhbXBsZS5vcmcgMTc5NTM0NTIwMA.QcfEwkNZsf7JLR17gUzwy-QN-Is3bHBNekp3xPVPxAHHF__VJg6xu5T-7vsr8ViT9EkQYf351HiQrxIZwOPsDQ",
    ],
    [
      "an exponent",
      "cDEgMTkyLjE2OC4xLjE3IDFlOQ.9-GGYX0MZJbC7peB9SKmkx4rSX8UNzM_O0UwJLOfSDdnBFm-ZH2QaxwMttI6rL3VrqCEdVk0eQ0ft_TvT5hLCg",
    ],
    [
      "a negative expiry",
      "cDEgMTkyLjE2OC4xLjE3IC0x.F5Tz7N-Cxd6fK97hd2JdG4-fNlkExccu1mNoOpoOm6KqPVzCenecBb-vvMsgeolZLZ1JOo4uhXtzgPY2K37oAQ",
    ],
    [
      "a leading zero",
      "cDEgMTkyLjE2OC4xLjE3IDAxNzk1MzQ1MjAw.8lxslU9CAx_k5cwRV8AfyOR3xJduMTR4udmqMnAAj5grKcQU2CX4b69ys_M8ZHHd_P8IKhein_LA-RMIibykDQ",
    ],
    [
      "two spaces",
      "cDEgIDE5Mi4xNjguMS4xNyAxNzk1MzQ1MjAw.TVgEkm1mdjQuD1PiLfLMWaV1F_24SZaYalHKdfxMNJ-nLWlHZA6IXeTdymxvoxW33GdeYCELmui5vZ-R50D9AA",
    ],
    ["nothing at all", ".5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc-bRr0lv18FlbviRlUUFDjnoQCw"],
  ];
  test.each(SIGNED)("%s, although it is signed", (_what, text) => {
    expect(readPass(text, KEY)).toBeUndefined();
  });

  test("any one bit of payload or signature that is another", () => {
    const parts = GOLDEN.split(".").map((part) => Buffer.from(part, "base64url"));
    const bits = parts.reduce((sum, part) => sum + part.length * 8, 0);
    for (let bit = 0; bit < bits; bit += 3) {
      const [said, signed] = parts.map((part) => Buffer.from(part));
      if (said === undefined || signed === undefined) throw new Error("a pass has two parts");
      const [part, at] = bit < said.length * 8 ? [said, bit] : [signed, bit - said.length * 8];
      part[at >> 3] = (part[at >> 3] ?? 0) ^ (1 << (at & 7));
      expect(readPass(`${said.toString("base64url")}.${signed.toString("base64url")}`, KEY)).toBeUndefined();
    }
  });

  test("any text at all, without ever throwing", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.string({ unit: "binary", maxLength: 60 }), (text, key) => {
        expect(readPass(text, key)).toBeUndefined();
        expect(readPass(text, KEY)).toBeUndefined();
      }),
      { numRuns: 60 },
    );
  });
});

describe("a challenge", () => {
  const CHALLENGE = "0123456789abcdef_-ABC";

  test("is answered with a proof that is good for the key and the challenge alone", () => {
    const office = new PassOffice();
    const proof = office.prove(CHALLENGE) ?? "";
    expect(isProven(office.key, CHALLENGE, proof)).toBe(true);
    expect(isProven(new PassOffice().key, CHALLENGE, proof)).toBe(false);
    expect(isProven(office.key, `${CHALLENGE}x`, proof)).toBe(false);
    expect(isProven(office.key, CHALLENGE, "")).toBe(false);
    expect(isProven("no key", CHALLENGE, proof)).toBe(false);
  });

  test.each(["", "short", "x".repeat(65), "10.0.0.9 9999999999 0", "0123456789abcde\n0"])(
    "that could be something else is not signed: %j",
    (challenge) => {
      expect(new PassOffice().prove(challenge)).toBeUndefined();
    },
  );

  test("never makes a pass", () => {
    const office = new PassOffice();
    const payload = Buffer.from(`challenge ${CHALLENGE}`).toString("base64url");
    expect(readPass(`${payload}.${office.prove(CHALLENGE)}`, office.key)).toBeUndefined();
  });
});

describe("a keyed pass", () => {
  const office = new PassOffice();
  const session = new SessionKey();
  const NONCE = "0123456789abcdef_-ABC";
  const AT = { address: addressOf("192.168.1.31"), port: 1235 };

  test("is read with its id, key and expiry, and is never a pass for an address, nor the other way round", () => {
    const keyed = { id: "p7", key: session.key, expires: 1_795_000_000 };
    const text = office.issueKeyed(keyed) ?? "";
    expect(readKeyedPass(text, office.key)).toEqual(keyed);
    expect(readKeyedPass(text, new PassOffice().key)).toBeUndefined();
    expect(readPass(text, office.key)).toBeUndefined();
    expect(readKeyedPass(office.issue(PASS), office.key)).toBeUndefined();
    for (const key of ["", "x", "10.0.0.9", `${session.key} 1`]) expect(office.issueKeyed({ ...keyed, key })).toBeUndefined();
  });

  test("is proven with its key, for one nonce and one holder", () => {
    const proof = session.provePass(NONCE, AT) ?? "";
    expect(isPassProven(session.key, NONCE, AT, proof)).toBe(true);
    expect(isPassProven(new SessionKey().key, NONCE, AT, proof)).toBe(false);
    expect(isPassProven(session.key, `${NONCE}x`, AT, proof)).toBe(false);
    expect(isPassProven(session.key, NONCE, { ...AT, port: 1236 }, proof)).toBe(false);
    for (const text of ["", "short", "two words of a nonce"]) expect(session.provePass(text, AT)).toBeUndefined();
  });
});

describe("a ticket of a guest", () => {
  const TICKET = { address: addressOf("192.168.1.50"), root: "c".repeat(64), expires: 1_795_000_000 };

  test("is read with its address, content and expiry, is signed, and is never a pass", () => {
    const office = new PassOffice();
    const text = office.issueTicket(TICKET);
    expect(Buffer.from(text.split(".")[0] ?? "", "base64url").toString()).toBe(`guest 192.168.1.50 ${TICKET.root} 1795000000`);
    expect(readTicket(text, office.key)).toEqual(TICKET);
    expect(readTicket(text, new PassOffice().key)).toBeUndefined();
    expect(readTicket(`${text.slice(0, 8)}A${text.slice(9)}`, office.key)).toBeUndefined();
    expect([readPass(text, office.key), readKeyedPass(text, office.key)]).toEqual([undefined, undefined]);
    expect(readTicket(office.issue({ id: "guest", address: TICKET.address, expires: 1 }), office.key)).toBeUndefined();
  });
});
