// Splits an FT/2 line into its verb and its `key=value` words, and checks the values. It knows no message. The functions here throw
// only a `ProtocolError`.

import { ProtocolError } from "../error.ts";
import { type Endpoint, parseAddress, parsePort, parseWhole } from "./address.ts";
import { peerName } from "./peer-name.ts";
import { parseRoot, unescapeField } from "./record.ts";

/** The first word of a line, and the text after the space behind it. */
export function cutVerb(line: string): [verb: string, rest: string] {
  const space = line.indexOf(" ");
  return space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
}

/** The most `key=value` words of a line. A message has a dozen; a line of very many would take long to read. */
const MOST_VALUES = 64;

/** The `key=value` words of a line, unescaped. Other words are left out. Throws when there are too many. */
export function valuesOf(rest: string): Map<string, string> {
  const values = new Map<string, string>();
  let count = 0;
  for (const word of rest.split(" ")) {
    const equals = word.indexOf("=");
    if (equals <= 0) continue;
    if (++count > MOST_VALUES) throw new ProtocolError("bad-line", `A line has more than ${MOST_VALUES} values.`);
    values.set(word.slice(0, equals), unescapeField(word.slice(equals + 1)));
  }
  return values;
}

/** Any text. Throws when the line does not have the key. */
export function textValue(values: Map<string, string>, key: string): string {
  const value = values.get(key);
  if (value === undefined) throw new ProtocolError("bad-line", `A line lacks its ${key}=.`);
  return value;
}

/** The value of a key as `read` gives it, or undefined if the line does not have the key. */
export function optional<Value>(
  values: Map<string, string>,
  key: string,
  read: (values: Map<string, string>, key: string) => Value,
): Value | undefined {
  return values.has(key) ? read(values, key) : undefined;
}

/** True for `yes`; false for any other value, and when the line does not have the key. */
export function yesValue(values: Map<string, string>, key: string): boolean {
  return values.get(key) === "yes";
}

/** A whole number that is not negative. Throws for any other text. */
export function wholeValue(values: Map<string, string>, key: string): number {
  const value = parseWhole(textValue(values, key));
  if (value === undefined) throw new ProtocolError("bad-number", `${key}= needs a whole number.`);
  return value;
}

/** A content id. Throws for any other text. */
export function rootValue(values: Map<string, string>, key: string): string {
  const root = parseRoot(textValue(values, key));
  if (root === undefined) throw new ProtocolError("bad-request", `${key}= needs 64 hex digits.`);
  return root;
}

/** A peer's name, made harmless; "" when nothing of it can be a name. */
export function nameValue(values: Map<string, string>, key: string): string {
  return peerName(textValue(values, key));
}

/** A day, `YYYY-MM-DD`. Throws for any other text. */
export function dayValue(values: Map<string, string>, key: string): string {
  const day = textValue(values, key);
  if (!/^\d{4}-\d\d-\d\d$/.test(day) || Number.isNaN(Date.parse(day))) {
    throw new ProtocolError("bad-find", `${key}= needs a day such as 2026-11-22.`);
  }
  return day;
}

/** The first time, ISO 8601 UTC, in a text. Milliseconds since 1970; undefined when there is none. */
export function timeIn(text: string): number | undefined {
  const time = Date.parse(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z/.exec(text)?.[0] ?? "");
  return Number.isNaN(time) ? undefined : time;
}

/** Reads `address=` and `port=`. Throws when one of them is wrong, with `badAddress` or `badPort` as its words. */
export function endpointOf(values: Map<string, string>, badAddress: string, badPort: string): Endpoint {
  const address = parseAddress(textValue(values, "address"));
  const port = parsePort(textValue(values, "port"));
  if (address === undefined) throw new ProtocolError("bad-address", badAddress);
  if (port === undefined) throw new ProtocolError("bad-port", badPort);
  return { address, port };
}
