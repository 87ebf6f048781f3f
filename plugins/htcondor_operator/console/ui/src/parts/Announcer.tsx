/**
 * Says things to screen readers, politely: what an action did, how the counts have changed.
 *
 * One region for all, there from the beginning: readers do not hear one that comes with its words.
 */

import { useEffect, useRef, useSyncExternalStore } from "react";

let said = "";
const listeners = new Set<() => void>();

/** Say something. */
export function announce(words: string): void {
  // The same words again are a change, too: readers are silent about a text that stays.
  said = said === words ? `${words}\u00a0` : words;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

/** The region; another one for each modal dialog, which hides all that is outside of it. */
export function Announcer() {
  const words = useSyncExternalStore(subscribe, () => said);
  return <div className="owl-hidden" role="status" aria-live="polite" data-announcer>{words}</div>;
}

const PAUSE_MS = 15_000;

/**
 * Announce words when they change, at most every 15 s; not the first, which is on the page.
 *
 * `scope` is what the words are about: of another filter or run they are not news.
 */
export function useAnnounced(words: string | null, scope: string): void {
  const known = useRef<{ scope: string; words: string } | null>(null);
  const last = useRef(0);
  useEffect(() => {
    if (words === null) return undefined;
    if (known.current?.scope !== scope) {
      known.current = { scope, words };
      return undefined;
    }
    if (known.current.words === words) return undefined;
    const timer = setTimeout(
      () => {
        known.current = { scope, words };
        last.current = Date.now();
        announce(words);
      },
      Math.max(0, last.current + PAUSE_MS - Date.now()),
    );
    return () => clearTimeout(timer);
  }, [words, scope]);
}
