import { useLayoutEffect, type RefObject } from "react";

const places = new Map<string, number>();

/** Return where the rows of a place were left. */
export const topOf = (place: string | undefined): number => places.get(place ?? "") ?? 0;

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
    const keep = (): void => void places.set(place, element.scrollTop);
    element.addEventListener("scroll", keep, { passive: true });
    return () => element.removeEventListener("scroll", keep);
  }, [scroller, place]);
}
