/** What a table's body consists of: rows, and the details of those that are expanded. */

import type { RowKey } from "./selection";

export interface Item<Row> {
  /** Names its element over refreshes. */
  id: string;
  row: Row;
  key: RowKey;
  detail: boolean;
}

/** Return the items of some rows, in order. */
export function itemsOf<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => RowKey,
  expanded: ReadonlySet<RowKey>,
): Item<Row>[] {
  return rows.flatMap((row) => {
    const key = keyOf(row);
    const item = { id: String(key), row, key, detail: false };
    return expanded.has(key) ? [item, { ...item, id: `${key} detail`, detail: true }] : [item];
  });
}

/** Return the place of the next row below or above a place; -1: there is none. */
export function nextRow<Row>(items: readonly Item<Row>[], from: number, by: 1 | -1): number {
  let at = from + by;
  while (items[at]?.detail) at += by;
  return items[at] ? at : -1;
}

/** What is drawn: an item, or the height of some that are not. */
export type Piece = { kind: "item"; index: number } | { kind: "gap"; id: string; height: number };

/** Return the pieces of the body's whole height, for items with known places. */
export function piecesOf(
  drawn: readonly { index: number; start: number; end: number }[],
  total: number,
): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  let gaps = 0;
  const gap = (height: number): void => {
    if (height > 0) pieces.push({ kind: "gap", id: `gap ${gaps++}`, height });
  };
  for (const item of drawn) {
    gap(item.start - end);
    pieces.push({ kind: "item", index: item.index });
    end = item.end;
  }
  gap(total - end);
  return pieces;
}
