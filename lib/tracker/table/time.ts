// Times as numbers.

/** Days from 0000-03-01, where a year of the formula below begins, to 1970-01-01. */
const DAYS_TO_1970 = 719_468;

const DAY_MS = 86_400_000;

/**
 * Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SSZ` and `YYYY-MM-DDTHH:MM:SS.mmmZ`, where there is such a time; undefined for all
 * other texts. Ten times as quick as `Date.parse`, and the text can be told from the number (days as in ISO 8601's calendar).
 */
export function plainTime(text: string): number | undefined {
  const fine = text.length === 24;
  if (!fine && text.length !== 20) return undefined;
  for (let at = 4; at < text.length; at++) {
    const wanted = at === 19 ? (fine ? DOT : ZULU) : at === 23 ? ZULU : (SEPARATORS[at] ?? 0);
    if (wanted !== 0 && text.charCodeAt(at) !== wanted) return undefined;
  }
  const [year, month, day] = [digitsAt(text, 0, 4), digitsAt(text, 5, 2), digitsAt(text, 8, 2)];
  const [hour, minute, second] = [digitsAt(text, 11, 2), digitsAt(text, 14, 2), digitsAt(text, 17, 2)];
  const ms = fine ? digitsAt(text, 20, 3) : 0;
  const isTime = hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60 && ms >= 0;
  if (!isTime || year < 0 || month < 1 || month > 12 || day < 1 || day > daysOf(month, year)) return undefined;
  // A leap day is the last of a year that begins in March.
  const begun = month < 3 ? year - 1 : year;
  const leaps = Math.floor(begun / 4) - Math.floor(begun / 100) + Math.floor(begun / 400);
  const inYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const days = 365 * begun + leaps + inYear - DAYS_TO_1970;
  return days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms;
}

const DOT = 46;

const ZULU = 90;

const SEPARATORS = [0, 0, 0, 0, 45, 0, 0, 45, 0, 0, 84, 0, 0, 58, 0, 0, 58];

/** So many digits as a number; negative when one of them is none. */
function digitsAt(text: string, at: number, count: number): number {
  let value = 0;
  for (let i = at; i < at + count; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function daysOf(month: number, year: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}
