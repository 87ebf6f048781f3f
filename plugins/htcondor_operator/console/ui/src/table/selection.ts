/** Selected rows, over all pages of a list. */

import { useCallback, useMemo, useRef, useState } from "react";

export type RowKey = string | number;

export interface Selection {
  readonly keys: ReadonlySet<RowKey>;
  /** Everything that fits the filter, on whatever page. */
  readonly everything: boolean;
  readonly size: number;
  set: (keys: readonly RowKey[], on: boolean) => void;
  /** One row; with `range` all from the one before. */
  toggle: (key: RowKey, on: boolean, range: readonly RowKey[] | null) => void;
  selectEverything: () => void;
  clear: () => void;
}

/** Return a selection; `scope` is the filter: another filter means nothing is selected. */
export function useSelection(scope: string): Selection {
  const [state, setState] = useState<{ scope: string; keys: ReadonlySet<RowKey>; all: boolean }>({
    scope,
    keys: new Set(),
    all: false,
  });
  const last = useRef<RowKey | null>(null);
  const current = state.scope === scope;
  const keys = useMemo(
    () => (current ? state.keys : new Set<RowKey>()),
    [current, state.keys],
  );

  const set = useCallback(
    (changed: readonly RowKey[], on: boolean) =>
      setState((before) => {
        const next = new Set(before.scope === scope ? before.keys : []);
        for (const key of changed) {
          if (on) next.add(key);
          else next.delete(key);
        }
        return { scope, keys: next, all: false };
      }),
    [scope],
  );
  const toggle = useCallback(
    (key: RowKey, on: boolean, range: readonly RowKey[] | null) => {
      const from = range === null || last.current === null ? -1 : range.indexOf(last.current);
      const to = range?.indexOf(key) ?? -1;
      last.current = key;
      if (range === null || from < 0 || to < 0) set([key], on);
      else set(range.slice(Math.min(from, to), Math.max(from, to) + 1), on);
    },
    [set],
  );
  const selectEverything = useCallback(
    () => setState((before) => ({ ...before, scope, all: true })),
    [scope],
  );
  const clear = useCallback(
    () => setState({ scope, keys: new Set<RowKey>(), all: false }),
    [scope],
  );
  const everything = current && state.all;
  return useMemo(
    () => ({ keys, everything, size: keys.size, set, toggle, selectEverything, clear }),
    [keys, everything, set, toggle, selectEverything, clear],
  );
}
