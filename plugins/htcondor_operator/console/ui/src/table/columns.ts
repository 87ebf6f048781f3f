/** Columns of the data tables: which are shown, in which order; remembered by this browser. */

import type { ReactNode } from "react";

import { useRemembered } from "../lib/storage";

export interface Column<Row> {
  id: string;
  label: string;
  /** What the column means, on hover over its head. */
  help?: string;
  width: number;
  /** What it says may be long: it gets what is left over in a wide window. */
  grows?: boolean;
  /** The name by which the server sorts; none if it does not. */
  sort?: string;
  className?: string;
  /** Not shown until somebody chooses it. */
  hidden?: boolean;
  /** Always shown, first. */
  fixed?: boolean;
  cell: (row: Row) => ReactNode;
}

export interface ColumnChoice {
  order: string[];
  hidden: string[];
}

const SLACK = 1.25;

/**
 * Return the widths of columns for CSS's grid: each at least its own width.
 *
 * What is left over goes to columns that grow, when the others have a little more than they need;
 * to all alike where none grows.
 */
export function tracks<Row>(columns: readonly Column<Row>[]): string[] {
  const some = columns.some((column) => column.grows);
  return columns.map(({ width, grows }) =>
    grows || !some ? `minmax(${width}px, ${width}fr)` : `minmax(${width}px, ${width * SLACK}px)`,
  );
}

/** Return the choice with columns that are new since it was made, and without those gone. */
export function settle<Row>(columns: readonly Column<Row>[], kept: ColumnChoice | null): ColumnChoice {
  const known = columns.map((column) => column.id);
  if (kept === null) {
    return { order: known, hidden: columns.filter((c) => c.hidden).map((c) => c.id) };
  }
  const order = kept.order.filter((id) => known.includes(id));
  const added = columns.filter((column) => !order.includes(column.id));
  return {
    order: [...order, ...added.map((column) => column.id)],
    hidden: [
      ...kept.hidden.filter((id) => known.includes(id)),
      ...added.filter((column) => column.hidden).map((column) => column.id),
    ],
  };
}

/** Return the choice for a table, and the way to change it. */
export function useColumnChoice<Row>(
  table: string,
  columns: readonly Column<Row>[],
): [ColumnChoice, (choice: ColumnChoice | null) => void] {
  const [kept, keep] = useRemembered<ColumnChoice | null>(`columns.${table}`, null);
  return [settle(columns, kept), keep];
}

/** Return an order in which a column is one place further up or down. */
export function moved(order: readonly string[], id: string, by: -1 | 1): string[] {
  const from = order.indexOf(id);
  const to = from + by;
  if (from < 0 || to < 0 || to >= order.length) return [...order];
  const next = [...order];
  next[from] = next[to] as string;
  next[to] = id;
  return next;
}
