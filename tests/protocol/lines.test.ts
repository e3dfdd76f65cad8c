import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/error.ts";
import { decodeText, Frame, LINE_LIMIT } from "../../lib/protocol/lines.ts";

const utf8 = new TextEncoder();

function refusal(run: () => unknown): string {
  try {
    return `no refusal but ${JSON.stringify(run())}`;
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}

function frameOf(...chunks: (string | Uint8Array)[]): Frame {
  const frame = new Frame();
  for (const chunk of chunks) frame.push(typeof chunk === "string" ? utf8.encode(chunk) : chunk);
  return frame;
}

/** All lines that are whole. */
function linesOf(frame: Frame): string[] {
  const lines: string[] = [];
  for (let line = frame.line(); line !== undefined; line = frame.line()) lines.push(line);
  return lines;
}

describe("lines", () => {
  test("end in LF or CR LF, neither of which is part of them", () => {
    expect(linesOf(frameOf("one\ntwo\r\n\n\r\nthree"))).toEqual(["one", "two", "", ""]);
  });

  test("only the one CR before the LF belongs to the line end", () => {
    const frame = frameOf("a\r\r\nb\rc\n\r\r\n");
    const lines = [frame.lineBytes(), frame.lineBytes(), frame.lineBytes()];
    expect(lines.map((line) => decodeText(line ?? new Uint8Array()))).toEqual(["a\r", "b\rc", "\r"]);
  });

  test("with a control character in them are refused, one by one, wherever the others stand", () => {
    for (const bad of ["\0", "\t", "\u001b[2J", "\u007f", "\u0085", "\r."]) {
      const frame = frameOf(`one\r\n${bad}\ntwo\nthr`, "ee\n");
      expect(frame.line()).toBe("one");
      expect(() => frame.line()).toThrow("control character");
      expect([frame.line(), frame.line(), frame.line()]).toEqual(["two", "three", undefined]);
    }
  });

  test("wait until they are whole", () => {
    const frame = frameOf("PI");
    expect(frame.line()).toBeUndefined();
    expect(frame.length).toBe(2);
    frame.push(utf8.encode("NG\r"));
    expect(frame.line()).toBeUndefined();
    frame.push(utf8.encode("\nPO"));
    expect(frame.line()).toBe("PING");
    expect(frame.line()).toBeUndefined();
    expect(frame.length).toBe(2);
  });

  test("an empty chunk changes nothing", () => {
    const frame = new Frame();
    frame.push(new Uint8Array(0));
    expect([frame.line(), frame.length]).toEqual([undefined, 0]);
    frame.push(utf8.encode("a"));
    frame.push(new Uint8Array(0));
    frame.push(utf8.encode("b\n"));
    frame.push(new Uint8Array(0));
    expect([frame.line(), frame.length]).toEqual(["ab", 0]);
  });

  test("may have 4096 bytes with their end, and not one more", () => {
    expect(LINE_LIMIT).toBe(4096);
    expect(frameOf(`${"x".repeat(4095)}\n`).line()).toBe("x".repeat(4095));
    expect(frameOf(`${"x".repeat(4094)}\r\n`).line()).toBe("x".repeat(4094));
    expect(frameOf(`${"漢".repeat(1365)}\n`).line()).toBe("漢".repeat(1365));
    expect(refusal(() => frameOf(`${"x".repeat(4096)}\n`).line())).toBe("line-too-long");
    expect(refusal(() => frameOf(`${"x".repeat(4095)}\r\n`).line())).toBe("line-too-long");
    expect(refusal(() => frameOf(`${"漢".repeat(1366)}\n`).line())).toBe("line-too-long");
  });

  test("that do not end are refused as soon as they cannot fit any more", () => {
    const frame = frameOf("x".repeat(4095));
    expect(frame.line()).toBeUndefined();
    frame.push(utf8.encode("x"));
    expect(refusal(() => frame.line())).toBe("line-too-long");
  });

  test("behind others are measured by themselves", () => {
    const frame = frameOf(`a\n${"x".repeat(4095)}\n${"y".repeat(4095)}`, "\n", `${"z".repeat(4096)}\n`);
    expect([frame.line(), frame.line(), frame.line()]).toEqual(["a", "x".repeat(4095), "y".repeat(4095)]);
    expect(refusal(() => frame.line())).toBe("line-too-long");
  });

  test("may be given a smaller limit", () => {
    expect(frameOf("1234567\n").line(8)).toBe("1234567");
    expect(refusal(() => frameOf("12345678\n").line(8))).toBe("line-too-long");
    expect(refusal(() => frameOf("12345678").line(8))).toBe("line-too-long");
  });

  test("arrive the same however they are cut", () => {
    const bytes = utf8.encode(`HELLO\r\n\n漢字 😀\n${"x".repeat(300)}\nlast\n`);
    const whole = linesOf(frameOf(bytes));
    expect(whole).toHaveLength(5);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const frame = frameOf(bytes.subarray(0, cut));
      const lines = linesOf(frame);
      frame.push(bytes.subarray(cut));
      expect([...lines, ...linesOf(frame)]).toEqual(whole);
    }
    const frame = new Frame();
    const lines: string[] = [];
    for (const byte of bytes) {
      frame.push(Uint8Array.of(byte));
      lines.push(...linesOf(frame));
    }
    expect(lines).toEqual(whole);
  });

  test("a hundred thousand of them in one chunk are read in one go", () => {
    const lines = linesOf(frameOf("PING\n".repeat(100_000)));
    expect(lines).toHaveLength(100_000);
    expect(new Set(lines)).toEqual(new Set(["PING"]));
  });
});

describe("text", () => {
  test("that is not UTF-8 is refused, and what comes behind it is not lost with it", () => {
    const broken = [
      [0xff],
      [0x80],
      [0xc3],
      [0xc3, 0x28],
      [0xc0, 0xaf],
      [0xe0, 0x80, 0xaf],
      [0xed, 0xa0, 0x80],
      [0xe2, 0x82],
      [0xf5, 0x80, 0x80, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xfe, 0xff],
    ];
    for (const bytes of broken) {
      const frame = frameOf(Uint8Array.from([0x61, ...bytes, 0x0a]), "next\n");
      expect([bytes, refusal(() => frame.line())]).toEqual([bytes, "bad-encoding"]);
      expect(frame.line()).toBe("next");
    }
  });

  test("keeps a byte order mark, which is no part of the protocol", () => {
    expect(decodeText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe("\ufeffa");
  });

  test("may be taken as bytes, whatever they are", () => {
    expect(frameOf(Uint8Array.of(0xff, 0, 0x0d, 0x0a)).lineBytes()).toEqual(Uint8Array.of(0xff, 0));
  });
});

describe("raw bytes", () => {
  test("are taken by count, as many as there are", () => {
    const frame = frameOf("abcdef");
    expect(frame.take(2)).toEqual(utf8.encode("ab"));
    expect([frame.length, frame.peek()]).toEqual([4, utf8.encode("cdef")]);
    expect(frame.take(0)).toHaveLength(0);
    expect(frame.take(Number.MAX_SAFE_INTEGER)).toEqual(utf8.encode("cdef"));
    expect(frame.length).toBe(0);
    expect(frame.take(1)).toHaveLength(0);
    expect(frame.peek()).toHaveLength(0);
  });

  test("line ends among them end nothing, and the lines around them are found", () => {
    const frame = frameOf("FILE: 5\nab\nc\nPING\nrest");
    expect(frame.line()).toBe("FILE: 5");
    expect(frame.take(5)).toEqual(utf8.encode("ab\nc\n"));
    expect(frame.line()).toBe("PING");
    expect(frame.line()).toBeUndefined();
    expect(frame.take(9)).toEqual(utf8.encode("rest"));
  });

  test("a line end that was searched for in vain and then taken as a body is not remembered", () => {
    const frame = frameOf("12345");
    expect(frame.line()).toBeUndefined();
    expect(frame.take(3)).toEqual(utf8.encode("123"));
    frame.push(utf8.encode("\n6\n"));
    expect([frame.line(), frame.line(), frame.line()]).toEqual(["45", "6", undefined]);
  });

  test("a chunk that finds nothing before it is handed on without a copy", () => {
    const chunk = new Uint8Array(256 * 1024).fill(7);
    const frame = frameOf("FILE:\n");
    frame.line();
    frame.push(chunk);
    expect(frame.take(chunk.length).buffer).toBe(chunk.buffer);
  });

  test("what was handed out stays as it was when more arrives", () => {
    const frame = frameOf("abc\nrest");
    const line = frame.lineBytes();
    const peeked = frame.peek();
    frame.push(utf8.encode("XYZ\n"));
    frame.line();
    expect([line, peeked]).toEqual([utf8.encode("abc"), utf8.encode("rest")]);
  });

  test("lines and bodies agree with a plain string, in any order and any cuts", () => {
    const step = fc.oneof(
      fc.record({ push: fc.string({ unit: fc.constantFrom("a", "b", "\n", "\r"), maxLength: 12 }) }),
      fc.record({ take: fc.nat(9) }),
      fc.constant({ line: true as const }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const frame = new Frame();
        let model = "";
        for (const now of steps) {
          if ("push" in now) {
            frame.push(utf8.encode(now.push));
            model += now.push;
          } else if ("take" in now) {
            expect(decodeText(frame.take(now.take))).toBe(model.slice(0, now.take));
            model = model.slice(now.take);
          } else {
            const [line] = /^[^\n]*\n/.exec(model) ?? [];
            const wanted = line?.replace(/\r?\n$/, "");
            if (wanted?.includes("\r")) expect(() => frame.line()).toThrow("control character");
            else expect(frame.line()).toBe(wanted);
            model = model.slice(line?.length ?? 0);
          }
          expect([frame.length, decodeText(frame.peek())]).toEqual([model.length, model]);
        }
      }),
      { seed: 20_261_122, numRuns: 500 },
    );
  });
});
