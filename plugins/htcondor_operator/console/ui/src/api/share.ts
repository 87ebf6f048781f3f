/** Keeps the identity of rows that did not change, so that only changed rows are drawn again. */

type Key = string | number;

function same(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (typeof left !== "object" || typeof right !== "object" || !left || !right) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  return names.every((name) =>
    same((left as Record<string, unknown>)[name], (right as Record<string, unknown>)[name]),
  );
}

/** Return `next` with the old objects where nothing changed; found by key, not by place. */
export function shareRows<Row extends object>(
  previous: readonly Row[] | undefined,
  next: readonly Row[],
  keyOf: (row: Row) => Key,
): Row[] {
  const old = new Map(previous?.map((row) => [keyOf(row), row]));
  return next.map((row) => {
    const before = old.get(keyOf(row));
    return before !== undefined && same(before, row) ? before : row;
  });
}

/**
 * React Query's `structuralSharing` for a listing.
 *
 * It must return `previous` itself when nothing changed: React Query also calls it for placeholder
 * data on every rendering, and a new object each time would render for ever.
 */
export function shareListing<Row extends object>(keyOf: (row: Row) => Key) {
  return (previous: unknown, next: unknown): unknown => {
    const old = previous as { rows?: Row[] } | undefined;
    const fresh = next as { rows?: Row[] };
    if (!Array.isArray(fresh?.rows)) return next;
    const rows = shareRows(old?.rows, fresh.rows, keyOf);
    const kept = old?.rows?.length === rows.length && rows.every((row, at) => row === old.rows?.[at]);
    const merged = { ...fresh, rows: kept ? old.rows : rows };
    return kept && same({ ...old, rows: 0 }, { ...merged, rows: 0 }) ? previous : merged;
  };
}
