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
  // What was committed and has not come back as `value` yet: on a busy machine several at a time.
  const underWay = useRef<string[]>([]);
  const latest = useRef(commit);
  latest.current = commit;

  // A change from outside (a saved view, "clear filters") replaces the draft; our own does not, even
  // when it comes after the next one was committed. The URL has no spaces at the ends.
  useEffect(() => {
    const own = underWay.current.indexOf(value.trim());
    if (own >= 0) underWay.current.splice(0, own + 1);
    else if (value !== sent.current.trim()) {
      underWay.current = [];
      sent.current = value;
      setDraft(value);
    }
  }, [value]);

  const send = (): void => {
    if (draft === sent.current) return;
    sent.current = draft;
    underWay.current.push(draft.trim());
    latest.current(draft);
  };
  const sending = useRef(send);
  sending.current = send;
  useEffect(() => {
    if (draft === sent.current) return undefined;
    const timer = setTimeout(() => sending.current(), pause);
    return () => clearTimeout(timer);
  }, [draft, pause]);

  return [draft, setDraft, send];
}
