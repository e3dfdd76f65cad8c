// Opens TCP connections within a time limit. Bun has no such limit.

import { domainToASCII } from "node:url";
import type { Socket } from "bun";
import { type Clock, systemClock } from "../clock.ts";
import { codeOf, FtError } from "../error.ts";
import type { Certificate } from "./certificate.ts";
import { type Channel, NOT_SECURED } from "./channel.ts";
import { LOCAL_NETWORK } from "./permission.ts";
import { formatSeconds, socketEvents, TcpChannel } from "./tcp.ts";
import { securedBy, tlsOptions } from "./tls.ts";

/** A dial fails after this time unless the caller gives another one. Milliseconds. */
const CONNECT_MS = 5_000;
/** A real refusal comes within this time. A later one means that there was no answer. Milliseconds. */
const REFUSED_WITHIN_MS = 900;
/** The same on Windows, which asks three times before it believes a refusal: that takes 2 seconds. Milliseconds. */
const REFUSED_WITHIN_ON_WINDOWS_MS = 2_600;

interface DialOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
  clock?: Clock;
  /** With it the connection speaks TLS 1.3, and is there after its handshake. */
  tls?: Certificate | undefined;
}

/**
 * Connects within `timeoutMs`. Fails with an `FtError` whose message is a clause (`connection refused`). The caller makes a sentence
 * of it, with the request and the other side's address.
 */
export function dial(
  { address, port }: { address: string; port: number },
  { timeoutMs = CONNECT_MS, signal, clock = systemClock, tls }: DialOptions = {},
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const from = clock.elapsed();
    let settled = false;
    const settle = (act: () => void) => {
      if (settled) return;
      settled = true;
      cancelTimeout();
      signal?.removeEventListener("abort", abort);
      act();
    };
    /** The connection while its TLS handshake goes on. */
    let shaking: Socket<TcpChannel> | undefined;
    const fail = (error: FtError) =>
      settle(() => {
        shaking?.terminate();
        reject(error);
      });
    const failed = (error: unknown) => fail(connectError(error, clock.elapsed() - from));
    const unsecured = () => fail(new FtError(NOT_SECURED, "it does not speak TLS 1.3, as a private room does"));
    const shaken = (socket: Socket<TcpChannel>) => {
      const secured = settled ? undefined : securedBy(socket);
      if (secured === undefined) return unsecured();
      const channel = new TcpChannel(socket, clock);
      channel.secured = secured;
      settle(() => resolve(channel));
    };
    const closed = (socket: Socket<TcpChannel>, error?: Error) => {
      socketEvents.close(socket, error);
      unsecured();
    };
    const connect = ([hostname = "", ...others]: string[]) => {
      let over = false;
      const ended = (error: unknown) => {
        // Bun tells some failures twice.
        if (over) return;
        over = true;
        if (others.length > 0 && !settled && isUnknownName(error)) connect(others);
        else failed(error);
      };
      // `Promise.try`, because Bun throws, and does not reject, when a port or an address is impossible.
      Promise.try(() =>
        Bun.connect<TcpChannel>({
          hostname,
          port,
          allowHalfOpen: true,
          ...(tls === undefined ? {} : { tls: tlsOptions(tls) }),
          socket: {
            ...socketEvents,
            ...(tls === undefined ? {} : { handshake: shaken, close: closed }),
            open: (socket) => {
              if (settled) socket.terminate();
              else if (tls === undefined) settle(() => resolve(new TcpChannel(socket, clock)));
              else shaking = socket;
            },
            connectError: (_socket, error) => ended(error),
          },
        }),
      ).catch(ended);
    };
    const abort = () => fail(new FtError("cancelled", "stopped"));
    const cancelTimeout = clock.after(timeoutMs, () => {
      fail(new FtError("no-answer", `no answer within ${formatSeconds(timeoutMs)}`));
    });
    if (signal?.aborted) {
      abort();
      return;
    }
    signal?.addEventListener("abort", abort);
    connect(spellingsOf(address));
  });
}

/**
 * The spellings under which this system may know a host's name. The system does not translate `bücher.lan` for DNS (xn--bcher-kva.lan), but
 * multicast DNS knows it as it is; and a dot at the end, as DNS writes a full name, is unknown to a file of hosts.
 */
export function spellingsOf(host: string): string[] {
  if (host.includes(":")) return [host];
  const bare = host.replace(/\.$/, "").normalize("NFC");
  return [...new Set([host, bare, domainToASCII(bare)])].filter((name) => name !== "");
}

function isUnknownName(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith("DNS") || ["ENOTFOUND", "EAI_NONAME", "EAI_AGAIN"].includes(code);
}

/** The error for a connection that a system could not make. `took` is in milliseconds. */
export function connectError(error: unknown, took: number, platform: string = process.platform): FtError {
  // Bun says ECONNREFUSED for a host of the same network that does not answer, too.
  const refusedWithin = platform === "win32" ? REFUSED_WITHIN_ON_WINDOWS_MS : REFUSED_WITHIN_MS;
  const code = codeOf(error) === "ECONNREFUSED" && took > refusedWithin ? "EHOSTUNREACH" : codeOf(error);
  // macOS says this, too, when a person has not allowed the terminal to use the local network.
  const permission = platform === "darwin" ? `; if it is on this network, ${LOCAL_NETWORK}` : "";
  const clause: Record<string, string> = {
    ECONNREFUSED: "nothing listens there (connection refused)",
    EHOSTUNREACH: `the host cannot be reached${permission}`,
    ENETUNREACH: "network unreachable",
    ETIMEDOUT: "no answer",
    ENOTFOUND: "no host has that name",
    EAI_AGAIN: "the name cannot be looked up right now",
    EAI_NONAME: "no host has that name",
    EMFILE: "this program has too many files open",
  };
  const fallback = code.startsWith("DNS") ? "no host has that name" : "the connection could not be made";
  return new FtError("unreachable", clause[code] ?? fallback, { cause: error });
}
