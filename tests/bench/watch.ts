// Programs whose output is counted, and what a bystander's output says. Only used by abuse.ts.

/** Requests a second of the bystander: less than a tracker allows to one peer. */
export const PER_SECOND = 40;
/** A request is lost after ten seconds; then everything is there. Milliseconds. */
const LAST_ANSWER_MS = 12_000;

/** A program whose lines are counted and waited for. */
export class Program {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  text = "";
  lines = 0;
  bytes = 0;
  ended = false;

  constructor(child: Bun.Subprocess<"ignore", "pipe", "pipe">) {
    this.child = child;
    const readers = [child.stdout, child.stderr].map(async (stream) => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) {
        const text = decoder.decode(chunk, { stream: true });
        this.bytes += chunk.length;
        for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.lines += 1;
        // What is waited for is near the end.
        this.text = (this.text + text).slice(-200_000);
      }
    });
    void Promise.all(readers).then(() => {
      this.ended = true;
    });
  }

  async until(wanted: RegExp, seconds = 60): Promise<RegExpExecArray> {
    const until = performance.now() + seconds * 1000;
    for (;;) {
      const match = wanted.exec(this.text);
      if (match !== null) return match;
      if (this.ended || performance.now() > until) throw new Error(`No ${wanted} came: ${this.text.slice(-1500)}`);
      await Bun.sleep(20);
    }
  }
}

export function now(): number {
  return performance.timeOrigin + performance.now();
}

export interface Delays {
  /** Milliseconds. */
  p50: number;
  p99: number;
  longest: number;
  count: number;
  lost: number;
  /** Answers NO: the tracker has lost the peer that was asked for. */
  no: number;
}

/** The process of bystander.ts. */
export class Bystander {
  readonly #program: Program;
  readonly #perSecond: number;
  readonly #all: { due: number; late: number; answer: string }[] = [];
  #rest = "";
  #read = 0;

  constructor(program: Program, perSecond = PER_SECOND) {
    this.#program = program;
    this.#perSecond = perSecond;
  }

  #take(): void {
    // The program keeps its last lines only: they are taken several times a second.
    const fresh = this.#program.bytes - this.#read;
    this.#read = this.#program.bytes;
    const lines = (this.#rest + (fresh === 0 ? "" : this.#program.text.slice(-fresh))).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const [due, late, answer = ""] = line.split(" ");
      if (late !== undefined) this.#all.push({ due: Number(due), late: Number(late), answer });
    }
  }

  /** What became of the requests that were due between these times. */
  async between(from: number, to: number): Promise<Delays> {
    const until = to + LAST_ANSWER_MS;
    const wanted = Math.floor(((to - from) / 1000) * this.#perSecond);
    const inside = () => this.#all.filter(({ due }) => due >= from && due < to);
    do {
      await Bun.sleep(100);
      this.#take();
    } while (inside().length < wanted - 1 && now() < until && !this.#all.some(({ due, late }) => due > to && late < 10_000));
    const all = inside();
    if (all.length < 10) throw new Error(`Only ${all.length} requests of a bystander were due: the machine is too busy.`);
    const late = all.map((one) => one.late).sort((a, b) => a - b);
    const part = (share: number) => late[Math.min(late.length - 1, Math.floor(late.length * share))] ?? 0;
    const count = (answer: string) => all.filter((one) => one.answer === answer).length;
    return { p50: part(0.5), p99: part(0.99), longest: part(1), count: all.length, lost: count("lost"), no: count("NO") };
  }
}
