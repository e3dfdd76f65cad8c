import { describe, expect, test } from "bun:test";
import { Guesses } from "../../../lib/tracker/room/guesses.ts";
import { addressOf, HandClock } from "../../helpers/channel.ts";

const MINUTE = 60_000;

describe("wrong keys", () => {
  test("of one host are five a minute, and then one each twelve seconds", async () => {
    const clock = new HandClock();
    const guesses = new Guesses(clock);
    const attacker = addressOf("10.0.0.9");
    for (let i = 0; i < 5; i += 1) {
      expect(guesses.mayTry(attacker)).toBe(true);
      guesses.wrong(attacker);
    }
    expect(guesses.mayTry(attacker)).toBe(false);
    expect(guesses.mayTry(addressOf("10.0.0.8"))).toBe(true);
    await clock.pass(11_900);
    expect(guesses.mayTry(attacker)).toBe(false);
    await clock.pass(200);
    expect(guesses.mayTry(attacker)).toBe(true);
    guesses.wrong(attacker);
    expect(guesses.mayTry(attacker)).toBe(false);
    await clock.pass(MINUTE);
    expect(guesses.mayTry(attacker)).toBe(true);
  });

  test("of one IPv6 network of 64 bits are those of one host", () => {
    const guesses = new Guesses(new HandClock());
    for (let i = 1; i <= 5; i += 1) guesses.wrong(addressOf(`2001:db8::${i}`));
    expect(guesses.mayTry(addressOf("2001:db8::77"))).toBe(false);
    expect(guesses.mayTry(addressOf("2001:db8:0:1::77"))).toBe(true);
  });

  test("of all hosts are thirty a minute; a host that has shown the key does not wait for the others", async () => {
    const clock = new HandClock();
    const guesses = new Guesses(clock);
    const known = addressOf("10.0.1.1");
    guesses.right(known);
    for (let i = 1; i <= 30; i += 1) guesses.wrong(addressOf(`10.0.0.${i}`));
    expect(guesses.mayTry(addressOf("10.0.0.77"))).toBe(false);
    expect(guesses.mayTry(known)).toBe(true);
    await clock.pass(2_100);
    expect(guesses.mayTry(addressOf("10.0.0.1"))).toBe(false);
    expect(guesses.mayTry(addressOf("10.0.0.77"))).toBe(true);
    guesses.wrong(addressOf("10.0.0.77"));
    guesses.forgetMembers();
    expect(guesses.mayTry(known)).toBe(false);
  });

  test("of one computer do not keep out others of its IPv6 network that have shown the key", () => {
    const guesses = new Guesses(new HandClock());
    const known = addressOf("2001:db8::1");
    guesses.right(known);
    for (let i = 1; i <= 5; i += 1) guesses.wrong(addressOf(`2001:db8::bad:${i}`));
    expect(guesses.mayTry(addressOf("2001:db8::2"))).toBe(false);
    for (let i = 0; i < 5; i += 1) {
      expect(guesses.mayTry(known)).toBe(true);
      guesses.wrong(known);
    }
    expect(guesses.mayTry(known)).toBe(false);
  });

  test("do not add up for a host that knows the key", () => {
    const guesses = new Guesses(new HandClock());
    const known = addressOf("10.0.1.1");
    for (let i = 0; i < 1000; i += 1) guesses.right(known);
    expect(guesses.mayTry(known)).toBe(true);
    for (let i = 0; i < 5; i += 1) guesses.wrong(known);
    expect(guesses.mayTry(known)).toBe(false);
  });
});

test("ten thousand guesses of many hosts in an hour try few keys", async () => {
  const clock = new HandClock();
  const guesses = new Guesses(clock);
  let tried = 0;
  for (let i = 0; i < 10_000; i += 1) {
    const address = addressOf(`10.0.${i % 50}.${i % 200}`);
    if (guesses.mayTry(address)) {
      tried += 1;
      guesses.wrong(address);
    }
    await clock.pass(360);
  }
  // 30 at once, and then 30 a minute.
  expect(tried).toBeLessThanOrEqual(30 + 61 * 30);
});

test("hosts that guess all the time do not keep out a host that comes for the first time", async () => {
  const clock = new HandClock();
  const guesses = new Guesses(clock);
  const from = clock.elapsed();
  let tried = 0;
  for (let i = 0; i < 10_000; i += 1) {
    const attacker = addressOf(`10.0.0.${i % 40}`);
    if (guesses.mayTry(attacker)) {
      tried += 1;
      guesses.wrong(attacker);
    }
    await clock.pass(50);
    // The first rush of forty new attackers is over after twenty seconds: 30 keys at once, and then one every two seconds.
    if (clock.elapsed() - from > 25_000) expect(guesses.mayTry(addressOf("10.0.1.1"))).toBe(true);
  }
  expect(tried).toBeGreaterThan(200);
});
