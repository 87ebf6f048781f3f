/** What this browser remembers; a browser that refuses remembers nothing. */

import { useCallback, useState } from "react";

const PREFIX = "owl.console.";

/** Return what is kept under a name, or the fallback. */
export function recall<T>(name: string, fallback: T): T {
  try {
    const text = window.localStorage.getItem(PREFIX + name);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

/** Keep something under a name. */
export function remember(name: string, value: unknown): void {
  try {
    window.localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Private windows and full disks: the choice lasts until the page is left.
  }
}

/** A state that is kept. */
export function useRemembered<T>(name: string, fallback: T): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => recall(name, fallback));
  const set = useCallback(
    (next: T) => {
      setValue(next);
      remember(name, next);
    },
    [name],
  );
  return [value, set];
}
