/** Filters live in the URL's query: a link, a reload and a saved view show the same. */

import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router-dom";

import type { Query } from "../api/client";
import { useIsHere } from "./here";

/** What of the URL's query is not sent to the server. */
const PLACE = new Set(["cursor", "page"]);

export interface Params {
  readonly search: URLSearchParams;
  get: (name: string) => string;
  all: (name: string) => string[];
  /** Set some, remove those that are null or empty; a changed filter begins at the first page. */
  set: (changes: Record<string, string | string[] | null>, place?: boolean) => void;
  /** Replace all by a saved view's. */
  replace: (query: string) => void;
  clear: (names: string[]) => void;
}

/** Return the URL's query and the ways to change it. */
export function useParams(): Params {
  const [search, setQuery] = useSearchParams();
  const isHere = useIsHere();
  const setSearch = useCallback<typeof setQuery>(
    (next, options) => {
      if (isHere()) setQuery(next, options);
    },
    [isHere, setQuery],
  );
  const set = useCallback(
    (changes: Record<string, string | string[] | null>, place = false) => {
      setSearch(
        () => {
          // Not the query that was drawn last: another change may be on its way there.
          const after = new URLSearchParams(window.location.search);
          for (const [name, value] of Object.entries(changes)) {
            after.delete(name);
            for (const one of Array.isArray(value) ? value : [value]) {
              if (one !== null && one !== "") after.append(name, one);
            }
          }
          if (!place) for (const name of PLACE) after.delete(name);
          return after;
        },
        { replace: true },
      );
    },
    [setSearch],
  );
  return useMemo(
    () => ({
      search,
      get: (name) => search.get(name) ?? "",
      all: (name) => search.getAll(name),
      set,
      replace: (query) => setSearch(new URLSearchParams(query)),
      clear: (names) => set(Object.fromEntries(names.map((name) => [name, null]))),
    }),
    [search, set, setSearch],
  );
}

/** Return the query for the server: only names that its route knows. */
export function toQuery(search: URLSearchParams, names: readonly string[]): Query {
  const query: Query = {};
  for (const name of names) {
    const values = search.getAll(name).filter((value) => value !== "");
    if (values.length === 1) query[name] = values[0];
    if (values.length > 1) query[name] = values;
  }
  return query;
}
