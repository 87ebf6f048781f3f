/**
 * Says things to screen readers, politely: what an action did, how the counts have changed.
 *
 * A region is there from the beginning: readers do not hear one that comes with its words. A modal
 * dialog has a region of its own, as it hides all that is outside of it; what the page has to say
 * waits until the dialog is closed, and does not replace the outcome of what was just done.
 */

import { useEffect, useRef, useSyncExternalStore } from "react";

type Place = "page" | "dialog";

const said: Record<Place, string> = { page: "", dialog: "" };
let dialogs = 0;
const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of listeners) listener();
}

/** Say something in the page, or in the dialog that is open. */
export function announce(words: string, place: Place): void {
  // The same words again are a change, too: readers are silent about a text that stays.
  said[place] = said[place] === words ? `${words}\u00a0` : words;
  tell();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

/** The region of the page or of a dialog. */
export function Announcer({ place = "page" }: { place?: Place }) {
  const words = useSyncExternalStore(subscribe, () => said[place]);
  useEffect(() => {
    if (place === "page") return undefined;
    dialogs += 1;
    tell();
    return () => {
      dialogs -= 1;
      said.dialog = "";
      tell();
    };
  }, [place]);
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
  const covered = useSyncExternalStore(subscribe, () => dialogs > 0);
  useEffect(() => {
    if (words === null) return undefined;
    if (known.current?.scope !== scope) {
      known.current = { scope, words };
      return undefined;
    }
    if (covered || known.current.words === words) return undefined;
    const timer = setTimeout(
      () => {
        known.current = { scope, words };
        last.current = Date.now();
        announce(words, "page");
      },
      Math.max(0, last.current + PAUSE_MS - Date.now()),
    );
    return () => clearTimeout(timer);
  }, [words, scope, covered]);
}
