/**
 * Which items of a long table are drawn: those in view, some around them, and the one in use.
 *
 * Items stand in the normal flow with gaps for the others, not at absolute places: a row then does
 * not depend on the rows above it, and is not drawn again when one of them grows.
 */

import { defaultRangeExtractor, useVirtualizer, type Range } from "@tanstack/react-virtual";
import { useCallback, useLayoutEffect, useMemo, useRef, type KeyboardEvent, type RefObject } from "react";

import { nextRow, piecesOf, type Item, type Piece } from "./items";

/** Tables up to this size are drawn whole: the browser's own search and printing find all rows. */
export const PLAIN_MOST = 60;
const ROW_HEIGHT = 31;
const DETAIL_HEIGHT = 240;
/** Drawn above and below the view: a turn of the wheel shows no gap. */
const AROUND = 12;
/** Drawn before the first layout is known. */
const FIRST_VIEW = { width: 1_000, height: 900 };

export interface Drawn {
  /** Whether some rows may not be drawn. */
  partly: boolean;
  pieces: Piece[];
  measure: ((element: HTMLElement | null) => void) | undefined;
  /** For the body: which row is in use stays drawn; arrows go from row to row. */
  body: {
    onFocus: (event: { target: EventTarget }) => void;
    onPointerDown: (event: { target: EventTarget }) => void;
    onKeyDown: (event: KeyboardEvent<HTMLElement>) => void;
  };
}

const itemElement = (target: EventTarget): HTMLElement | null =>
  (target as HTMLElement).closest<HTMLElement>("tr[data-index]");

/** Return what is drawn of some items, of which `rows` are rows; at first, the view begins at `top`. */
export function useDrawn<Row>(
  items: readonly Item<Row>[],
  rows: number,
  scroller: RefObject<HTMLElement | null>,
  top: number,
): Drawn {
  const partly = rows > PLAIN_MOST;
  // The row that has the focus, or whose menu is open: without its element both would be lost.
  const used = useRef("");
  const rangeExtractor = useCallback(
    (range: Range) => {
      const indexes = defaultRangeExtractor(range);
      const kept = items.findIndex((item) => item.id === used.current);
      if (kept < 0 || indexes.includes(kept)) return indexes;
      return [...indexes, kept].sort((left, right) => left - right);
    },
    [items],
  );
  const virtualizer = useVirtualizer<HTMLElement, HTMLElement>({
    count: items.length,
    enabled: partly,
    getScrollElement: () => scroller.current,
    getItemKey: useCallback((index: number) => items[index]?.id ?? index, [items]),
    estimateSize: (index) => (items[index]?.detail ? DETAIL_HEIGHT : ROW_HEIGHT),
    rangeExtractor,
    overscan: AROUND,
    initialRect: FIRST_VIEW,
    initialOffset: top,
    // The head covers the top; below, as much of the view is not the body's.
    scrollPaddingEnd: ROW_HEIGHT,
  });

  const wanted = useRef<{ index: number; control: string } | null>(null);
  const reach = useCallback((): boolean => {
    if (!wanted.current) return false;
    const { index, control } = wanted.current;
    const found = scroller.current?.querySelector<HTMLElement>(
      `tr[data-index="${index}"] [data-control="${control}"]`,
    );
    if (!found) return false;
    wanted.current = null;
    found.focus();
    return true;
  }, [scroller]);
  // A row that was not drawn when an arrow key asked for it.
  useLayoutEffect(() => void reach());

  const latest = useRef({ items, virtualizer });
  latest.current = { items, virtualizer };
  const body = useMemo(() => {
    const use = ({ target }: { target: EventTarget }): void => {
      const at = itemElement(target)?.dataset["index"];
      if (at !== undefined) used.current = latest.current.items[Number(at)]?.id ?? "";
    };
    return {
      onFocus: use,
      onPointerDown: use,
      onKeyDown: (event: KeyboardEvent<HTMLElement>): void => {
        if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
        const control = (event.target as HTMLElement).closest<HTMLElement>("[data-control]");
        const at = control && itemElement(control)?.dataset["index"];
        if (!control || at === null || at === undefined) return;
        const next = nextRow(latest.current.items, Number(at), event.key === "ArrowDown" ? 1 : -1);
        if (next < 0) return;
        event.preventDefault();
        wanted.current = { index: next, control: control.dataset["control"] ?? "" };
        if (!reach()) latest.current.virtualizer.scrollToIndex(next, { align: "auto" });
      },
    };
  }, [reach]);

  return {
    partly,
    pieces: partly
      ? piecesOf(virtualizer.getVirtualItems(), virtualizer.getTotalSize())
      : items.map((_, index): Piece => ({ kind: "item", index })),
    measure: partly ? virtualizer.measureElement : undefined,
    body,
  };
}
