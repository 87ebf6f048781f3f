/**
 * Keeps the rows of a live list where they are while somebody is about to use one of them.
 *
 * What is known of the rows is still refreshed in place; rows that came or went are told, and shown
 * when nobody looks at the table any more, or at the press of a button.
 */

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type PointerEvent, type UIEvent } from "react";

import type { RowKey } from "./selection";

/** A pointer that rests for so long is nobody's: a display on the wall stays live. */
export const IDLE_MS = 30_000;
const AT_TOP_PX = 4;

export interface Held<Row> {
  rows: readonly Row[];
  /** Rows that are not shown yet. */
  fresh: number;
  /** Rows that are shown and no longer in the list. */
  gone: ReadonlySet<RowKey>;
  /** Whether the list has another order by now. */
  moved: boolean;
}

const NONE: ReadonlySet<RowKey> = new Set();

/** Return the rows that were shown, as they are now. */
export function mergeHeld<Row>(
  shown: readonly Row[],
  now: readonly Row[],
  keyOf: (row: Row) => RowKey,
): Held<Row> {
  const current = new Map(now.map((row) => [keyOf(row), row]));
  const before = new Set(shown.map(keyOf));
  const stayed = shown.map(keyOf).filter((key) => current.has(key));
  const order = now.map(keyOf).filter((key) => before.has(key));
  const gone = shown.map(keyOf).filter((key) => !current.has(key));
  return {
    rows: shown.map((row) => current.get(keyOf(row)) ?? row),
    fresh: now.length - order.length,
    gone: gone.length ? new Set(gone) : NONE,
    moved: stayed.some((key, at) => key !== order[at]),
  };
}

/** Return what is shown of `rows`; another `scope` (filter, page, order) is shown at once. */
export function useHeld<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => RowKey,
  hold: boolean,
  scope: string,
): Held<Row> {
  const shown = useRef<{ scope: string; rows: readonly Row[] }>({ scope: "", rows: [] });
  const held = useMemo((): Held<Row> => {
    const { scope: of, rows: before } = shown.current;
    if (hold && of === scope && before.length > 0) return mergeHeld(before, rows, keyOf);
    return { rows, fresh: 0, gone: NONE, moved: false };
  }, [rows, keyOf, hold, scope]);
  useLayoutEffect(() => {
    shown.current = { scope, rows: held.rows };
  }, [held, scope]);
  return held;
}

export interface Engaged {
  /** Whether somebody is about to use a row. */
  on: boolean;
  /** For the element that scrolls the rows. */
  watch: {
    onPointerMove: (event: PointerEvent) => void;
    onPointerDown: () => void;
    onPointerLeave: (event: PointerEvent) => void;
    onKeyDown: () => void;
    onScroll: (event: UIEvent<HTMLElement>) => void;
  };
  /** Show the list as it is now: what was to be done is done. */
  release: () => void;
}

/** Watch whether the pointer moves over the rows, keys are pressed in them, or they are scrolled. */
export function useEngaged(): Engaged {
  const [near, setNear] = useState(false);
  const [away, setAway] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const release = useCallback(() => {
    clearTimeout(timer.current);
    setNear(false);
    setAway(false);
  }, []);
  const watch = useMemo(() => {
    const touch = (): void => {
      setNear(true);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => setNear(false), IDLE_MS);
    };
    return {
      onPointerMove: (event: PointerEvent): void => {
        // A dialog that closes over a pointer at rest, and rows that pass below it, move nothing.
        if (event.movementX !== 0 || event.movementY !== 0) touch();
      },
      onPointerDown: touch,
      onPointerLeave: (event: PointerEvent): void => {
        // A finger leaves with every tap.
        if (event.pointerType !== "touch") setNear(false);
      },
      onKeyDown: touch,
      onScroll: (event: UIEvent<HTMLElement>): void => {
        if (event.target === event.currentTarget) setAway(event.currentTarget.scrollTop > AT_TOP_PX);
      },
    };
  }, []);
  return { on: near || away, watch, release };
}
