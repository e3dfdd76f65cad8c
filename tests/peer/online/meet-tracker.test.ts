// A tracker that is asked for its name and limit before a peer joins.

import { describe, expect, test } from "bun:test";
import { FtError } from "../../../lib/error.ts";
import { meetTracker } from "../../../lib/peer/online/meet-tracker.ts";
import { HandClock, Net, settle } from "../../helpers/channel.ts";
import { failure, HELLO, HI, TRACKER } from "../../helpers/session-room.ts";

function room() {
  const clock = new HandClock();
  const net = new Net(clock);
  return { clock, net, tools: { dial: net.dial, clock, agent: "ft-peer/1.0.0" } };
}

describe("meetTracker", () => {
  test("gives the name and the limit of the HI, and closes without a word about the peer", async () => {
    const { net, tools } = room();
    const met = meetTracker(TRACKER, tools);
    const far = await net.next();
    expect(await far.line()).toBe(HELLO);
    far.say(HI.replace("max=5", "max=40"));
    expect(await met).toEqual({ name: "Lab 3", max: 40 });
    await far.until(() => far.over);
    expect(far.waiting.length).toBe(0);
  });

  test("takes a silent tracker, and one that closes, for a basic one, which takes five files", async () => {
    const { clock, net, tools } = room();
    const silent = meetTracker(TRACKER, tools);
    expect(await (await net.next()).line()).toBe(HELLO);
    await clock.pass(1000);
    expect(await silent).toEqual({ name: "", max: 5 });
    const closing = meetTracker(TRACKER, tools);
    const far = await net.next();
    await far.line();
    far.close();
    expect(await closing).toEqual({ name: "", max: 5 });
  });

  test("says which tracker cannot be reached", async () => {
    const { net, tools } = room();
    net.fate = () => new FtError("unreachable", "nothing listens there");
    const error = await failure(meetTracker(TRACKER, tools));
    expect(error.message).toStartWith('Cannot reach the tracker at "192.168.1.2:1234": ');
  });

  test("stops with its signal", async () => {
    const { net, tools } = room();
    const stop = new AbortController();
    const met = meetTracker(TRACKER, { ...tools, signal: stop.signal });
    await net.next();
    await settle();
    stop.abort();
    expect((await failure(met)).code).toBe("cancelled");
  });
});
