/** One clock for all ages on a page: a cell is drawn again only when its words change. */

import { useSyncExternalStore } from "react";

import { age } from "./time";

const TICK_MS = 5_000;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer !== undefined) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** Return the age of a time in words. */
export function useAge(at: string | null | undefined): string {
  return useSyncExternalStore(subscribe, () =>
    at ? age((Date.now() - Date.parse(at)) / 1_000) : "",
  );
}

/** Return whether a time is longer ago than `seconds`. */
export function useOlderThan(at: number | null, seconds: number): boolean {
  return useSyncExternalStore(
    subscribe,
    () => at !== null && at > 0 && Date.now() - at > seconds * 1_000,
  );
}
