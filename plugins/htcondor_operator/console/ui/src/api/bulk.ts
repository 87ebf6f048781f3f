/** Writes about many things: the server takes some at a time. */

import { ApiError, get, write, type Query } from "./client";
import type { ActionAnswer, Listing, PreviewItem } from "./types";

/** Few enough that a server which goes away leaves little in doubt. */
export const PART = 25;
/** A question changes nothing, and is cheap. */
export const PREVIEW_PART = 100;
/** So many parts of what the server finds by itself are looked at before it is done. */
const PREVIEWED_PARTS = 8;
/** So many of a filter are taken at once; more is a campaign's work. */
export const MOST_KEYS = 10_000;
const PAGE = 500;

export type Key = string | number;

export interface BulkWrite {
  path: string;
  body: Record<string, unknown>;
  /** The body's field for the keys, and the keys; none if the path says what is meant. */
  keys?: { field: string; values: readonly Key[] };
}

export interface Watch {
  /** `all` is null while the server alone knows how many there are. */
  progress?: (done: number, all: number | null) => void;
  signal?: AbortSignal;
  /** Whether to end after the part that is under way. */
  stopped?: () => boolean;
}

/** What came of a bulk. */
export interface BulkAnswer extends ActionAnswer {
  /** What was not asked for, or has no answer: it can be looked at again. */
  left: Key[];
  /** Why it ended before all was asked for. */
  ended: string | null;
}

function partsOf(keys: readonly Key[], size: number): Key[][] {
  const found: Key[][] = [];
  for (let at = 0; at < keys.length; at += size) found.push(keys.slice(at, at + size));
  return found;
}

const ableOf = (items: readonly PreviewItem[]): number =>
  items.filter((item) => item.why_not === null).length;

function together(
  answers: readonly ActionAnswer[],
  dryRun: boolean,
  left: Key[] = [],
  ended: string | null = null,
): BulkAnswer {
  const [first] = answers;
  if (answers.length === 1 && first && left.length === 0) return { ...first, left, ended };
  const items = answers.flatMap((answer) => answer.items);
  return {
    summary: `${ableOf(items)} of ${items.length} ${dryRun ? "would be changed" : "asked for"}`,
    items,
    done: answers.reduce((sum, answer) => sum + answer.done, 0),
    left,
    ended,
  };
}

/** Whether the server may have done what it gave no answer about. */
function inDoubt(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status === 0 || error.status >= 500;
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Do it, or (`dryRun`) say what it would do, part by part. */
export async function perform(
  wanted: BulkWrite,
  reason: string | null,
  dryRun: boolean,
  watch: Watch = {},
): Promise<BulkAnswer> {
  const fields = { ...wanted.body, reason, dry_run: dryRun };
  if (!wanted.keys) return performFound(wanted.path, fields, dryRun, watch);
  const { field, values } = wanted.keys;
  const answers: ActionAnswer[] = [];
  const groups = partsOf(values, dryRun ? PREVIEW_PART : PART);
  let asked = 0;
  for (const [at, group] of groups.entries()) {
    if (watch.signal?.aborted) break;
    if (watch.stopped?.()) {
      return together(answers, dryRun, groups.slice(at).flat(), "It was stopped. The rest was not asked for.");
    }
    watch.progress?.(asked, values.length);
    try {
      answers.push(await write<ActionAnswer>(wanted.path, { ...fields, [field]: group }));
    } catch (error) {
      // A question is asked again; of a change it is told how far it came.
      if (dryRun) throw error;
      const doubt = inDoubt(error);
      if (!doubt && answers.length === 0) throw error;
      const why = `${wordsOf(error)} ${doubt ? "Part of it may be done." : "It was not done."}`;
      const items = group.map((key): PreviewItem => ({ key, name: String(key), will: "", why_not: why }));
      answers.push({ summary: "", items, done: 0 });
      return together(answers, dryRun, groups.slice(at).flat(), why);
    }
    asked += group.length;
  }
  return together(answers, dryRun);
}

/** The same for what the server finds by itself: it says where to go on. */
async function performFound(
  path: string,
  fields: { reason: string | null; dry_run: boolean },
  dryRun: boolean,
  watch: Watch,
): Promise<BulkAnswer> {
  const answers: ActionAnswer[] = [];
  let after: string | null = null;
  let asked = 0;
  do {
    if (watch.signal?.aborted) break;
    if (watch.stopped?.()) return together(answers, dryRun, [], "It was stopped. Ask again for the rest.");
    if (after !== null) watch.progress?.(asked, null);
    let answer: ActionAnswer;
    try {
      answer = await write<ActionAnswer>(path, after === null ? fields : { ...fields, after });
    } catch (error) {
      if (dryRun || answers.length === 0) throw error;
      const ended = `${wordsOf(error)} The last part ${inDoubt(error) ? "may be" : "was not"} done; ask again for the rest.`;
      return together(answers, dryRun, [], ended);
    }
    answers.push(answer);
    asked += answer.items.length;
    after = answer.next ?? null;
  } while (after !== null && !(dryRun && answers.length === PREVIEWED_PARTS));
  const found = together(answers, dryRun);
  return after === null ? found : { ...found, summary: `${found.summary}, and there are more` };
}

/** Return the keys of everything that a list's filter takes, page after page. */
export async function allKeys<Row>(
  path: string,
  query: Query,
  keyOf: (row: Row) => Key,
  signal?: AbortSignal,
): Promise<Key[]> {
  const keys: Key[] = [];
  let cursor: string | null | undefined;
  do {
    const page: Listing<Row> = await get<Listing<Row>>(path, { ...query, limit: PAGE, cursor }, signal);
    keys.push(...page.rows.map(keyOf));
    cursor = page.next;
  } while (cursor && keys.length < MOST_KEYS);
  return keys.slice(0, MOST_KEYS);
}
