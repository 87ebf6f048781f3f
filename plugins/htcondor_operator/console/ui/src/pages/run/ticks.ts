/** Marks of a time axis at round times. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 30, 90, 365].map((n) => n * DAY),
];

/** Return the step between marks, so that there are at most `most` of them. */
export function stepOf(from: number, to: number, most: number): number {
  return STEPS.find((step) => (to - from) / step <= most) ?? (STEPS.at(-1) as number);
}

/** Return the round times (UTC) between two times. */
export function ticksOf(from: number, to: number, most: number): number[] {
  const step = stepOf(from, to, most);
  const found: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  return found;
}

/** Return the words on a mark: as much of the time as the step needs. */
export function tickWords(at: number, step: number): string {
  const text = new Date(at).toISOString();
  if (step >= DAY) return text.slice(5, 10);
  const clock = text.slice(11, step >= MINUTE ? 16 : 19);
  return step >= HOUR && at % DAY === 0 ? text.slice(5, 10) : clock;
}
