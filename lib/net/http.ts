// Serves HTTP/1.1 on channels that somebody else has accepted, so that browsers and FT programs come to one port. node:http reads the
// requests and writes the answers. This file joins it to a channel, and closes connections that are slow or ask too much at once.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Duplex } from "node:stream";
import type { Channel } from "./channel.ts";
import type { Body, Exchange } from "./exchange.ts";

/** The most bytes of a request's first line and its headers. */
const HEADERS_LIMIT = 8 * 1024;
/** The first request of a connection must be there within this time. Milliseconds. */
const FIRST_MS = 10_000;
/** Each later one must be there this long after the answer before it. Milliseconds. */
const NEXT_MS = 30_000;
/** The most requests of one connection that wait for their answers. Browsers send the next one after the answer. */
const MOST_WAITING = 4;
/** The first words of the requests that are answered. */
const METHODS = ["GET ", "HEAD "];

/** Whether bytes are the beginning of an HTTP request; undefined while there are too few to say. */
export function isHttp(bytes: Uint8Array): boolean | undefined {
  const text = String.fromCharCode(...bytes.subarray(0, 5));
  if (METHODS.some((method) => text.startsWith(method))) return true;
  return METHODS.some((method) => method.startsWith(text)) ? undefined : false;
}

/**
 * Looks at the first bytes of a new connection, and hands it to `http` or to `other`, which gets those bytes again. Before, the connection
 * has `deadline` milliseconds to send them.
 */
export function sortByFirstWord(
  channel: Channel,
  deadline: number,
  { http, other }: { http: (channel: Channel) => void; other: (channel: Channel) => void },
): void {
  let heard = new Uint8Array();
  const decide = () => {
    // Handlers that come now get what was heard, and the end if it has come.
    const isRequest = isHttp(heard);
    if (isRequest === undefined && !channel.ended && !channel.closed) return;
    channel.unread(heard);
    if (isRequest === true) http(channel);
    else other(channel);
  };
  channel.limit({ deadline });
  channel.start({
    data: (chunk) => {
      heard = heard.length === 0 ? chunk.slice() : Uint8Array.from([...heard, ...chunk]);
      decide();
    },
    end: decide,
  });
}

/** A function that takes over new connections: those of browsers are answered, all others go to `other`. */
export function acceptBoth(
  answer: (exchange: Exchange) => void,
  other: (channel: Channel) => void,
  deadline: number,
): (channel: Channel) => void {
  const server = new HttpServer(answer);
  return (channel) => sortByFirstWord(channel, deadline, { http: (browser) => server.accept(browser), other });
}

/** A connection of a browser. `waiting`: its requests that are not answered yet. */
interface Connection {
  readonly channel: Channel;
  readonly stream: ChannelStream;
  waiting: number;
}

/** Answers the HTTP requests of any number of channels. */
export class HttpServer {
  readonly #server: Server;
  readonly #channels = new WeakMap<object, Connection>();

  /** `answer` must answer each request at some time. */
  constructor(answer: (exchange: Exchange) => void) {
    this.#server = createServer({ maxHeaderSize: HEADERS_LIMIT, keepAliveTimeout: NEXT_MS }, (request, response) => {
      const connection = this.#channels.get(request.socket);
      if (connection === undefined) return;
      const { channel, stream } = connection;
      connection.waiting += 1;
      if (connection.waiting > MOST_WAITING) {
        channel.destroy("it sends too many requests at once");
        return;
      }
      channel.limit({ deadline: undefined });
      response.on("error", () => undefined);
      response.once("close", () => {
        connection.waiting -= 1;
        if (connection.waiting > 0) return;
        channel.limit({ deadline: NEXT_MS });
        if (channel.ended) stream.push(null);
      });
      answer(exchangeOf(request, response, channel));
    });
    this.#server.on("clientError", (_, socket) => {
      socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
  }

  /** Takes over a connection that has begun with an HTTP request. */
  accept(channel: Channel): void {
    const stream = new ChannelStream(channel);
    const connection = { channel, stream, waiting: 0 };
    this.#channels.set(stream, connection);
    channel.limit({ deadline: FIRST_MS });
    this.#server.emit("connection", stream);
    // node:http drops the answer to a request whose sender has ended. So it learns of the end when all is answered. It reads the bytes
    // before the end in a later turn than this one.
    stream.start(() => {
      setImmediate(() => {
        if (connection.waiting === 0) stream.push(null);
      });
    });
  }
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

/** A channel as a stream of Node. */
class ChannelStream extends Duplex {
  readonly #channel: Channel;
  /** The bytes that the channel has not taken yet, and the function to call when it has. */
  #rest: { bytes: Uint8Array; done: () => void } | undefined;

  constructor(channel: Channel) {
    super();
    this.#channel = channel;
  }

  /** `onEnd` is called when the other side has ended. */
  start(onEnd: () => void): void {
    this.#channel.start({
      data: (chunk) => {
        if (!this.push(chunk)) this.#channel.pause();
      },
      end: onEnd,
      drain: () => this.#writeOn(),
      close: () => this.destroy(),
    });
  }

  override _read(): void {
    this.#channel.resume();
  }

  override _write(bytes: Uint8Array, _: string, done: () => void): void {
    this.#rest = { bytes, done };
    this.#writeOn();
  }

  override _final(done: () => void): void {
    this.#channel.finish();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#channel.finish();
    done(error);
  }

  #writeOn(): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    rest.bytes = rest.bytes.subarray(this.#channel.offer(rest.bytes));
    if (rest.bytes.length > 0) return;
    this.#rest = undefined;
    rest.done();
  }
}
