/** Times as operators read them: UTC, short, and durations in two units. */

const pad = (value: number): string => String(value).padStart(2, "0");

/** Return `2026-03-04 12:34:56`; the columns' heads say that it is UTC. */
export function stamp(value: string | null | undefined): string {
  if (!value) return "";
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) return "";
  const day = `${at.getUTCFullYear()}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())}`;
  return `${day} ${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
}

/** Return a duration like `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86_400) return pair(Math.floor(whole / 3_600), "h", Math.floor((whole % 3_600) / 60), "min");
  return pair(Math.floor(whole / 86_400), "d", Math.floor((whole % 86_400) / 3_600), "h");
}

function pair(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** Return a delay: with tenths where they matter. */
export function lag(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

/** Return an age in one unit (`5 s`, `3 min`, `2 h`, `4 d`): it changes rarely. */
export function age(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole - (whole % 5)} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min`;
  if (whole < 172_800) return `${Math.floor(whole / 3_600)} h`;
  return `${Math.floor(whole / 86_400)} d`;
}

/** Return the seconds between two times, or to `now` if the second is not known. */
export function between(
  from: string | null | undefined,
  to: string | null | undefined,
  now: number = Date.now(),
): number | null {
  if (!from) return null;
  const end = to ? Date.parse(to) : now;
  return (end - Date.parse(from)) / 1_000;
}

/** Return a size like `12.3 MB`. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1_000 && unit < units.length - 1) {
    size /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(size < 10 ? 2 : 1)} ${units[unit]}`;
}

/** Return a whole number with thin groups. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "" : value.toLocaleString("en-US");
}

/** Return the name of several: `runs`, `entries`. */
export const nouns = (noun: string): string => (noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`);

/** Return `1 run`, `2,000 runs`, `1 entry`. */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${value === 1 ? noun : nouns(noun)}`;
}
