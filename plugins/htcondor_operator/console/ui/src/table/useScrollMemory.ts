import { useLayoutEffect, type RefObject } from "react";

/** As long as the rows themselves are kept. */
const KEPT_MS = 10 * 60_000;
const places = new Map<string, { top: number; at: number }>();

/** Return where the rows of a place were left, not long ago. */
export function topOf(place: string | undefined): number {
  const left = places.get(place ?? "");
  return left && Date.now() - left.at < KEPT_MS ? left.top : 0;
}

/**
 * Keep a list's scroll position per place (page, filter and order): another place begins at its
 * top, and who comes back from a run finds the rows where they were.
 */
export function useScrollMemory(scroller: RefObject<HTMLElement | null>, place: string | undefined): void {
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || place === undefined) return undefined;
    const top = topOf(place);
    if (element.scrollTop !== top) element.scrollTop = top;
    const keep = (): void => void places.set(place, { top: element.scrollTop, at: Date.now() });
    element.addEventListener("scroll", keep, { passive: true });
    return () => {
      element.removeEventListener("scroll", keep);
      const left = places.get(place);
      if (left) places.set(place, { ...left, at: Date.now() });
    };
  }, [scroller, place]);
}
