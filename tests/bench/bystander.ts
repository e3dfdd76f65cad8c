// A peer that disturbs nobody, in a process of its own: it asks a tracker again and again and writes down how long each answer took.
//
//     bun tests/bench/bystander.ts ask ADDRESS PORT PER_SECOND REQUEST     one accepted peer, one connection
//     bun tests/bench/bystander.ts join ADDRESS PORT PER_SECOND            a new connection each time: HELLO FT/2, until the HI
//     bun tests/bench/bystander.ts page ADDRESS PORT PER_SECOND            a new connection each time: the web page, all of it
//
// It prints "ready", then for each request one line: when it was due (milliseconds since 1970), the milliseconds to its answer, and
// the answer's first word. "lost" stands for an answer that never comes, because the connection ended or nobody answered for 10 s.

import type { Socket } from "bun";

/** A request without an answer for this long is lost. Milliseconds. */
const PATIENCE_MS = 10_000;
/** A bystander whose connection ended tries again after this long. Milliseconds. */
const AGAIN_MS = 250;
/** Nobody listens on the port that its record names. */
const RECORD = "<bystander.txt,text/plain,1,22/11/26,10.0.0.1,9;v=2>";
const GREETING = `HELLO FT/2 agent=bystander/1\nFILES 1 port=9\n${RECORD}\n`;
/** What a tracker says without being asked. */
const PUSH = /^(?:NOTICE|REACH|CONNECT|WELCOME|HI)\b/;

const [mode = "", hostname = "", port = "", perSecond = "", request = ""] = process.argv.slice(2);
const target = { hostname, port: Number(port) };
const every = 1000 / Number(perSecond);

function now(): number {
  return performance.timeOrigin + performance.now();
}

function tell(due: number, answer: string): void {
  const late = answer === "lost" ? PATIENCE_MS : now() - due;
  process.stdout.write(`${due.toFixed(1)} ${late.toFixed(2)} ${answer}\n`);
}

/** Calls `act` at even intervals with the time at which it was due. */
async function keepAsking(act: (due: number) => void): Promise<never> {
  for (let due = now(); ; due += every) {
    await Bun.sleep(Math.max(0, due - now()));
    // A timer that was early or late is not the tracker's fault.
    due = now();
    act(due);
  }
}

/** One connection; its requests are answered in order. */
async function ask(): Promise<void> {
  const waiting: number[] = [];
  let socket: Socket | undefined;
  let text = "";
  let told = false;
  const decoder = new TextDecoder();
  const welcomed = () => {
    if (!told) process.stdout.write("ready\n");
    told = true;
  };
  const connect = () => {
    const gone = () => {
      socket = undefined;
      for (const due of waiting.splice(0)) tell(due, "lost");
      setTimeout(connect, AGAIN_MS);
    };
    Bun.connect({
      ...target,
      socket: {
        open: (opened) => void opened.write(GREETING),
        data(from, chunk) {
          const lines = (text + decoder.decode(chunk)).split("\n");
          text = lines.pop() ?? "";
          for (const line of lines) {
            if (line.startsWith("WELCOME")) {
              socket = from;
              welcomed();
            }
            if (PUSH.test(line)) continue;
            const due = waiting.shift();
            if (due !== undefined) tell(due, line.split(" ")[0] ?? "");
          }
        },
        close: gone,
        end: (ended) => void ended.end(),
        error: (failed) => void failed.terminate(),
        drain() {},
      },
    }).catch(gone);
  };
  connect();
  while (!told) await Bun.sleep(10);
  await keepAsking((due) => {
    while (waiting[0] !== undefined && due - waiting[0] > PATIENCE_MS) tell(waiting.shift() ?? due, "lost");
    if (socket === undefined) tell(due, "lost");
    else {
      waiting.push(due);
      socket.write(`${request}\n`);
    }
  });
}

/** A connection for each request, and the answer that is none of "lost". */
async function afresh(text: string, answerIn: (heard: string) => string | undefined): Promise<void> {
  process.stdout.write("ready\n");
  await keepAsking((due) => {
    let open = true;
    const over = (answer: string) => {
      if (open) tell(due, answer);
      open = false;
    };
    const timer = setTimeout(() => over("lost"), PATIENCE_MS);
    let heard = "";
    Bun.connect({
      ...target,
      socket: {
        open: (opened) => void opened.write(text),
        data(socket, chunk) {
          heard += new TextDecoder().decode(chunk);
          const answer = answerIn(heard);
          if (answer === undefined) return;
          over(answer);
          socket.end();
        },
        close() {
          clearTimeout(timer);
          over("lost");
        },
        end: (ended) => void ended.end(),
        error: (failed) => void failed.terminate(),
        drain() {},
      },
    }).catch(() => over("lost"));
  });
}

const PAGE = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

if (mode === "join") await afresh("HELLO FT/2 agent=bystander/1\n", (heard) => (heard.startsWith("HI") ? "HI" : "lost"));
else if (mode === "page")
  await afresh(PAGE, (heard) => (heard.startsWith("HTTP/1.1 200") ? (heard.includes("</html>") ? "page" : undefined) : "lost"));
else await ask();
