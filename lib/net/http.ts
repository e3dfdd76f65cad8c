// Serves HTTP/1.1 on channels that somebody else has accepted, so that browsers and FT programs come to one port. node:http reads the
// requests and writes the answers. This file joins it to a channel, gives it one request at a time, and closes slow connections.
//
// The simple code would hand all bytes to node:http. But node:http reads every request of a chunk at once, whatever becomes of the
// connection: one client with requests one behind the other kept a tracker from all others for four seconds.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Duplex } from "node:stream";
import { concatBytes } from "../bytes.ts";
import type { Channel } from "./channel.ts";
import type { Body, Exchange } from "./exchange.ts";

/** The most bytes of a request's first line and its headers. */
const HEADERS_LIMIT = 8 * 1024;
/** The first request of a connection must be there within this time. Milliseconds. */
const FIRST_MS = 10_000;
/** Each later request must be there within this time after the answer before it. Milliseconds. */
const NEXT_MS = 30_000;
/** A browser that takes an answer more slowly than this is disconnected. Bytes per second. */
const SLOWEST_READER = 1024;
/** A browser may take this time for a part of an answer, beside the time at SLOWEST_READER. Milliseconds. */
const READER_PAUSE_MS = 30_000;
/** The most bytes that the other side may still send after the last answer. */
const EXCESS = 64 * 1024;
/** The first words of the requests that are answered. */
const METHODS = ["GET ", "HEAD "];
/** The end of a request's headers. */
const HEADERS_END = Buffer.from("\r\n\r\n");
const [CR, LF] = [13, 10];

/** Whether bytes are the beginning of an HTTP request; undefined while there are too few to say. */
export function isHttp(bytes: Uint8Array): boolean | undefined {
  const text = String.fromCharCode(...bytes.subarray(0, 5));
  if (METHODS.some((method) => text.startsWith(method))) return true;
  return METHODS.some((method) => method.startsWith(text)) ? undefined : false;
}

/**
 * Looks at the first bytes of a new connection, and hands it to `http` or to `other`, which gets those bytes again. The connection has
 * `deadline` milliseconds to send them.
 */
function sortByFirstWord(
  channel: Channel,
  deadline: number,
  { http, other }: { http: (channel: Channel) => void; other: (channel: Channel) => void },
): void {
  let heard: Uint8Array = new Uint8Array();
  const decide = () => {
    // The new handlers get the bytes that were heard, and the end of the stream if that has come.
    const isRequest = isHttp(heard);
    if (isRequest === undefined && !channel.ended && !channel.closed) return;
    channel.unread(heard);
    if (isRequest === true) http(channel);
    else other(channel);
  };
  channel.limit({ deadline });
  channel.start({
    data: (chunk) => {
      heard = concatBytes([heard, chunk]);
      decide();
    },
    end: decide,
  });
}

/** Gives a function that takes over new connections. `answer` gets the requests of browsers, `other` every other connection. */
export function acceptBoth(
  answer: (exchange: Exchange) => void,
  other: (channel: Channel) => void,
  deadline: number,
): (channel: Channel) => void {
  let server: HttpServer | undefined;
  const http = (browser: Channel) => {
    server ??= new HttpServer(answer);
    server.accept(browser);
  };
  return (channel) => sortByFirstWord(channel, deadline, { http, other });
}

/** Answers the HTTP requests of any number of channels. */
class HttpServer {
  readonly #server: Server;
  readonly #streams = new WeakMap<object, ChannelStream>();

  /** `answer` must answer each request at some time. */
  constructor(answer: (exchange: Exchange) => void) {
    // Loaded now, at the first browser, because it takes 20 ms of the start of a program that meets none.
    const { createServer } = process.getBuiltinModule("node:http");
    const hear = (request: IncomingMessage, response: ServerResponse) => {
      const stream = this.#streams.get(request.socket);
      if (stream === undefined) return;
      stream.channel.limit({ deadline: undefined });
      response.on("error", () => undefined);
      response.once("close", () => stream.answered());
      const refusal = refusalStatus(request);
      if (refusal !== undefined || hasBody(request)) stream.isLast = true;
      if (stream.isLast) response.setHeader("connection", "close");
      if (refusal === undefined) answer(exchangeOf(request, response, stream.channel));
      else response.writeHead(refusal, { "content-length": "0" }).end();
    };
    this.#server = createServer({ maxHeaderSize: HEADERS_LIMIT, keepAliveTimeout: NEXT_MS }, hear);
    // By itself node:http would answer a request with another Expect, and nobody here would know that it is answered.
    this.#server.on("checkContinue", hear);
    this.#server.on("checkExpectation", hear);
    this.#server.on("clientError", (_, socket) => {
      socket.end(BAD_REQUEST);
    });
  }

  /** Takes over a connection that has begun with an HTTP request. */
  accept(channel: Channel): void {
    const stream = new ChannelStream(channel);
    this.#streams.set(stream, stream);
    channel.limit({ deadline: FIRST_MS, excess: EXCESS });
    this.#server.emit("connection", stream);
    stream.start();
  }
}

const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/** The status that refuses a request; undefined for a request to answer. Two Host headers could mean two sites (RFC 9112, section 3.2). */
function refusalStatus({ method, rawHeaders }: IncomingMessage): number | undefined {
  if (method !== "GET" && method !== "HEAD") return 405;
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "host");
  return hosts.length > 1 ? 400 : undefined;
}

/** Whether more comes behind the headers, which nobody here reads. */
function hasBody({ headers }: IncomingMessage): boolean {
  return (headers["content-length"] ?? "0") !== "0" || headers["transfer-encoding"] !== undefined;
}

function exchangeOf(request: IncomingMessage, response: ServerResponse, channel: Channel): Exchange {
  return {
    method: request.method === "HEAD" ? "HEAD" : "GET",
    target: request.url ?? "/",
    channel,
    header: (name) => request.headers[name]?.toString(),
    reply: (status, headers, body) => {
      response.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(body)) });
      response.end(body);
    },
    begin: (status, headers) => {
      response.writeHead(status, headers);
      response.flushHeaders();
      return bodyOf(response, channel);
    },
  };
}

function bodyOf(response: ServerResponse, channel: Channel): Body {
  let over = false;
  /** The one write that waits for the connection. */
  let goOn: ((mayGoOn: boolean) => void) | undefined;
  response.on("drain", () => goOn?.(true));
  response.once("close", () => {
    over = true;
    goOn?.(false);
  });
  return {
    write: async (part) => {
      if (over) return false;
      if (response.write(part)) return true;
      return new Promise((resolve) => {
        goOn = resolve;
      });
    },
    end: () => response.end(),
    break: () => channel.destroy(),
    whenOver: (act) => {
      if (over) act();
      else response.once("close", act);
    },
  };
}

/** A channel as a stream of Node, which gives one request at a time. */
class ChannelStream extends Duplex {
  readonly channel: Channel;
  /** Nothing is read behind this request. */
  isLast = false;
  /** Bytes that came, and were not given yet. */
  #held: Uint8Array = new Uint8Array();
  /** A request was given, and is not answered yet. */
  #isAsked = false;
  #isEndDue = false;
  /** The bytes that the channel has not taken yet, and the function to call when it has. */
  #rest: { bytes: Uint8Array; done: () => void } | undefined;

  constructor(channel: Channel) {
    super();
    this.channel = channel;
  }

  start(): void {
    this.channel.start({
      data: (chunk) => {
        if (this.isLast) return;
        this.#held = concatBytes([this.#held, chunk]);
        this.#giveNext();
      },
      end: () => {
        this.#isEndDue = true;
        this.#giveNext();
      },
      drain: () => this.#writeOn(),
      close: () => this.destroy(),
    });
  }

  /** node:http is done with the answer to a request. */
  answered(): void {
    this.#isAsked = false;
    if (this.isLast) this.#held = new Uint8Array();
    this.#goOnIfSent();
  }

  /** Lets the next request come as soon as all answers are sent. */
  #goOnIfSent(): void {
    if (this.#isAsked || this.#rest !== undefined) return;
    this.channel.limit({ deadline: NEXT_MS });
    this.#giveNext();
  }

  /**
   * Gives the next request, or the end. node:http drops the answer to a request whose sender has ended, so the end comes behind all
   * answers.
   */
  #giveNext(): void {
    if (!this.#isAsked && this.#rest === undefined) this.#give();
    this.#pauseOrResume();
  }

  #give(): void {
    let from = 0;
    while (this.#held[from] === CR || this.#held[from] === LF) from += 1;
    const end = Buffer.from(this.#held.buffer, this.#held.byteOffset, this.#held.length).indexOf(HEADERS_END, from);
    const length = (end < 0 ? this.#held.length : end + HEADERS_END.length) - from;
    if (length > HEADERS_LIMIT) {
      this.isLast = true;
      this.#held = new Uint8Array();
      this.end(BAD_REQUEST);
      return;
    }
    if (end >= 0) {
      this.#isAsked = true;
      this.push(this.#held.slice(from, from + length));
      this.#held = this.#held.subarray(from + length);
    } else if (this.#isEndDue) {
      if (length > 0) this.push(this.#held.slice(from));
      this.#held = new Uint8Array();
      this.push(null);
    }
  }

  /** Receives no more while there is enough for the next request. Until then it receives, to notice when the other side goes away. */
  #pauseOrResume(): void {
    if (this.#isAsked && this.#held.length > HEADERS_LIMIT) this.channel.pause();
    else this.channel.resume();
  }

  override _read(): void {
    // `#give` pushes each request when the answers before it are sent.
  }

  override _write(bytes: Uint8Array, _: string, done: () => void): void {
    this.channel.limit({ deadline: READER_PAUSE_MS + (bytes.length * 1000) / SLOWEST_READER });
    this.#rest = { bytes, done };
    this.#writeOn();
  }

  override _final(done: () => void): void {
    this.channel.finish();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.channel.finish();
    done(error);
  }

  #writeOn(): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    rest.bytes = rest.bytes.subarray(this.channel.offer(rest.bytes));
    if (rest.bytes.length > 0) return;
    this.#rest = undefined;
    this.channel.limit({ deadline: undefined });
    rest.done();
    this.#goOnIfSent();
  }
}
