/** An input bound to the URL loses characters: it has a draft of its own, sent after a pause. */

import { useEffect, useRef, useState } from "react";

export const DEBOUNCE_MS = 250;

/** Return a draft of `value`, and a setter that commits after 250 ms without a further change. */
export function useDraft(
  value: string,
  commit: (value: string) => void,
  pause: number = DEBOUNCE_MS,
): [string, (value: string) => void, () => void] {
  const [draft, setDraft] = useState(value);
  const sent = useRef(value);
  const latest = useRef(commit);
  latest.current = commit;

  // A change from outside (a saved view, "clear filters") replaces the draft; our own does not.
  useEffect(() => {
    if (value !== sent.current) {
      sent.current = value;
      setDraft(value);
    }
  }, [value]);

  useEffect(() => {
    if (draft === sent.current) return undefined;
    const timer = setTimeout(() => {
      sent.current = draft;
      latest.current(draft);
    }, pause);
    return () => clearTimeout(timer);
  }, [draft, pause]);

  const flush = (): void => {
    if (draft === sent.current) return;
    sent.current = draft;
    latest.current(draft);
  };
  return [draft, setDraft, flush];
}
