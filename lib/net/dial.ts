// TCP, outgoing.

import { codeOf, FtError } from "../error.ts";
import type { Channel } from "./channel.ts";
import { canonical, type Door, localEnd, seconds, socketEvents, TcpChannel } from "./tcp.ts";

const CONNECT_MS = 5_000;

/**
 * Connects within `timeoutMs`. Fails with an `FtError` whose message is a clause (`connection refused`), for the caller to say
 * what was wanted from whom.
 */
export function dial(
  { address, port }: { address: string; port: number },
  { timeoutMs = CONNECT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const from = performance.now();
    let settled = false;
    const settle = (act: () => void) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      act();
    };
    const abort = () => settle(() => reject(new FtError("cancelled", "stopped")));
    const timer = setTimeout(
      () => settle(() => reject(new FtError("no-answer", `no answer within ${seconds(timeoutMs)}`))),
      timeoutMs,
    );
    if (signal?.aborted) {
      abort();
      return;
    }
    signal?.addEventListener("abort", abort);
    // `Promise.try`, because a port or an address that cannot be is thrown, not rejected.
    Promise.try(() =>
      Bun.connect<TcpChannel>({
        hostname: address,
        port,
        allowHalfOpen: true,
        socket: {
          ...socketEvents,
          open: (socket) => {
            if (settled) {
              socket.terminate();
              return;
            }
            const door: Door = { local: localEnd(socket), left: () => undefined };
            const channel = new TcpChannel(socket, canonical(socket.remoteAddress), door);
            socket.data = channel;
            settle(() => resolve(channel));
          },
          connectError: (_socket, error) => settle(() => reject(connectError(error, performance.now() - from))),
        },
      }),
    ).catch((error: unknown) => settle(() => reject(connectError(error, performance.now() - from))));
  });
}

/** Longer than this no refusal takes to come. */
const REFUSAL_MS = 900;

function connectError(error: unknown, took: number): FtError {
  // Bun says ECONNREFUSED for a host that does not answer on its own network, too.
  const code = codeOf(error) === "ECONNREFUSED" && took > REFUSAL_MS ? "EHOSTUNREACH" : codeOf(error);
  const clause: Record<string, string> = {
    ECONNREFUSED: "nothing listens there (connection refused)",
    EHOSTUNREACH: "the host cannot be reached",
    ENETUNREACH: "there is no network to it",
    ETIMEDOUT: "no answer",
    ENOTFOUND: "no host has that name",
    EAI_AGAIN: "no host has that name, as far as one can tell now",
    EAI_NONAME: "no host has that name",
    EMFILE: "this program has too many files open",
  };
  const fallback = code.startsWith("DNS") ? "no host has that name" : "the connection could not be made";
  return new FtError("unreachable", clause[code] ?? fallback, { cause: error });
}
