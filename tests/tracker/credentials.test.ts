import { describe, expect, test } from "bun:test";
import { readPass } from "../../lib/protocol/pass.ts";
import { Credentials } from "../../lib/tracker/credentials.ts";
import { addressOf, connection, HandClock } from "../helpers/channel.ts";

describe("Credentials", () => {
  test("the time in passes does not jump when somebody sets the clock", () => {
    const clock = new HandClock();
    const credentials = new Credentials(clock);
    const before = credentials.now;
    expect(before * 1000).toBe(clock.at());
    clock.step(-86_400_000);
    clock.spend(5_000);
    expect(credentials.now).toBe(before + 5);
    const { near } = connection({ address: addressOf("192.168.1.30"), port: 50_000 });
    const pass = readPass(credentials.passFor("p7", near), credentials.key);
    expect(pass?.expires).toBe(before + 5 + 600);
  });
});
