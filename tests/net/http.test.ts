import { describe, expect, test } from "bun:test";
import type { Body } from "../../lib/net/exchange.ts";
import { acceptBoth, isHttp } from "../../lib/net/http.ts";
import { listen } from "../../lib/net/listen.ts";
import { Raw } from "../helpers/raw.ts";

const utf8 = new TextEncoder();

test("isHttp knows GET and HEAD by their first word, and waits while it could be one of them", () => {
  for (const text of ["GET /", "GET ", "HEAD ", "HEAD /x"]) expect([text, isHttp(utf8.encode(text))]).toEqual([text, true]);
  for (const text of ["", "G", "GET", "H", "HE", "HEA", "HEAD"])
    expect([text, isHttp(utf8.encode(text))]).toEqual([text, undefined]);
  for (const text of ["HELLO", "HEL", "GETX", "get /", "POST /", "<a,b", "\x16\x03\x01"]) {
    expect([text, isHttp(utf8.encode(text))]).toEqual([text, false]);
  }
});

/** A port on which browsers are answered with the path, and others get their bytes back. */
function port() {
  const bodies: { body: Body; over: Promise<void> }[] = [];
  const listener = listen({
    host: "127.0.0.1",
    port: 0,
    onConnection: acceptBoth(
      (exchange) => {
        if (exchange.target !== "/slow")
          return exchange.reply(200, { "x-host": exchange.header("host") ?? "" }, `at ${exchange.target}`);
        const body = exchange.begin(200, {});
        bodies.push({ body, over: new Promise((resolve) => body.whenOver(resolve)) });
      },
      (channel) => channel.start({ data: (chunk) => channel.send(chunk), end: () => channel.finish() }),
      60_000,
    ),
  });
  return { port: listener.port, bodies, [Symbol.dispose]: () => listener.stop() };
}

describe("acceptBoth", () => {
  test("answers browsers, one request after the other on one connection, however the bytes are cut", async () => {
    using place = port();
    const browser = await Raw.connect(place.port);
    for (const byte of "GET /a HTTP/1.1\r\nHost: b\r\n\r\n") browser.send(byte);
    for (let line = await browser.line(); line !== "\r"; line = await browser.line());
    expect((await browser.take(5)).toString()).toBe("at /a");
    browser.send("GET /b HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
    const rest = (await browser.rest()).toString();
    expect([rest.includes("x-host: b\r\n"), rest.endsWith("\r\n\r\nat /b")]).toEqual([true, true]);
    browser.close();
  });

  test("gives others every byte, and their end", async () => {
    using place = port();
    for (const words of ["HELLO", "H", "HE", "GE", "HELP me", "x".repeat(100_000)]) {
      const other = await Raw.connect(place.port);
      other.send(words);
      other.halfClose();
      expect((await other.rest()).toString() === words).toBe(true);
      other.close();
    }
  });

  test("answers a browser that has ended its side already", async () => {
    using place = port();
    const browser = await Raw.connect(place.port);
    browser.send("GET /a HTTP/1.1\r\nHost: b\r\n\r\n");
    browser.halfClose();
    expect((await browser.rest()).toString()).toEndWith("\r\n\r\nat /a");
    browser.close();
  });

  test("answers a flood of requests one at a time", async () => {
    using place = port();
    const flood = await Raw.connect(place.port);
    flood.send("GET /slow HTTP/1.1\r\nHost: b\r\n\r\n".repeat(50));
    for (let count = 1; count <= 3; count++) {
      while (place.bodies.length < count) await Bun.sleep(1);
      expect(place.bodies.length).toBe(count);
      place.bodies[count - 1]?.body.end();
    }
    flood.close();
  });
});

describe("the body of an answer", () => {
  test("waits for a browser that reads slowly, and is over when that leaves", async () => {
    using place = port();
    const browser = await Raw.connect(place.port);
    browser.socket.pause();
    browser.send("GET /slow HTTP/1.1\r\nHost: b\r\n\r\n");
    while (place.bodies.length === 0) await Bun.sleep(1);
    const [{ body, over } = { body: undefined, over: undefined }] = place.bodies;
    const block = new Uint8Array(1024 * 1024);
    let waiting: Promise<boolean> | undefined;
    // More than a socket's buffers hold: at some time a part has to wait.
    for (let i = 0; i < 100 && waiting === undefined; i++) {
      const sent = body?.write(block);
      const first = await Promise.race([sent, Bun.sleep(50).then(() => "waits")]);
      if (first === "waits") waiting = sent;
    }
    expect(waiting).toBeDefined();
    browser.close();
    // The system may still have taken that part. Then a later one fails.
    for (let goesOn = await waiting; goesOn === true; goesOn = await body?.write(block));
    await over;
  });

  test("that is broken off ends without the end of its chunks", async () => {
    using place = port();
    const browser = await Raw.connect(place.port);
    browser.send("GET /slow HTTP/1.1\r\nHost: b\r\n\r\n");
    while (place.bodies.length === 0) await Bun.sleep(1);
    await place.bodies[0]?.body.write("half");
    while (!browser.waiting.includes("half")) await Bun.sleep(1);
    place.bodies[0]?.body.break();
    expect((await browser.rest()).toString()).not.toContain("\r\n0\r\n");
    browser.close();
  });
});
