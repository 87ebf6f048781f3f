/** Writes about many things: the server takes a hundred at a time. */

import { ApiError, get, write, type Query } from "./client";
import type { ActionAnswer, Listing, PreviewItem } from "./types";

export const PART = 100;
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

type Progress = (done: number, all: number) => void;

function parts(keys: readonly Key[]): Key[][] {
  const found: Key[][] = [];
  for (let at = 0; at < keys.length; at += PART) found.push(keys.slice(at, at + PART));
  return found;
}

function together(answers: readonly ActionAnswer[], dryRun: boolean): ActionAnswer {
  const [first] = answers;
  if (answers.length === 1 && first) return first;
  const items = answers.flatMap((answer) => answer.items);
  const able = items.filter((item) => item.why_not === null).length;
  return {
    summary: `${able} of ${items.length} ${dryRun ? "would be changed" : "asked for"}`,
    items,
    done: answers.reduce((sum, answer) => sum + answer.done, 0),
  };
}

/** Do it, or (`dryRun`) say what it would do, part by part. */
export async function perform(
  wanted: BulkWrite,
  reason: string | null,
  dryRun: boolean,
  progress?: Progress,
  signal?: AbortSignal,
): Promise<ActionAnswer> {
  const { path, body, keys } = wanted;
  const fields = { ...body, reason, dry_run: dryRun };
  if (!keys) return write<ActionAnswer>(path, fields);
  const answers: ActionAnswer[] = [];
  const groups = parts(keys.values);
  for (const [at, group] of groups.entries()) {
    if (signal?.aborted) break;
    progress?.(at * PART, keys.values.length);
    try {
      answers.push(await write<ActionAnswer>(path, { ...fields, [keys.field]: group }));
    } catch (error) {
      // What was done before is done: it is told, with what was not and why.
      if (answers.length === 0) throw error;
      const why = error instanceof ApiError ? error.message : String(error);
      const rest = groups.slice(at).flat();
      const items = rest.map((key): PreviewItem => ({ key, name: String(key), will: "", why_not: why }));
      answers.push({ summary: "", items, done: 0 });
      break;
    }
  }
  return together(answers, dryRun);
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
