/** The queries of the pages: polled while somebody looks, kept while another page is shown. */

import {
  QueryClient,
  keepPreviousData,
  useQuery,
  type QueryKey,
  type UseQueryResult,
} from "@tanstack/react-query";

import { ApiError, get, type Query } from "./client";
import { shareListing } from "./share";
import type { Listing, Me, Permission } from "./types";

export const POLL_MS = 4_000;
export const SLOW_POLL_MS = 5_000;

/** Make a client. One at module scope serves all: the host mounts a page again on every path. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // What was too slow for the database is as slow again.
        retry: (count, error) =>
          count < 2 &&
          (!(error instanceof ApiError) ||
            error.status === 0 ||
            (error.status >= 500 && error.status !== 504 && error.kind !== "too_slow")),
        retryDelay: 1_000,
        staleTime: 1_000,
        gcTime: 10 * 60_000,
        refetchOnWindowFocus: true,
        // A hidden tab asks for nothing.
        refetchIntervalInBackground: false,
      },
    },
  });
}

export const queryClient = makeQueryClient();

const isRefusal = (error: unknown): boolean =>
  error instanceof ApiError && (error.status === 401 || error.status === 403);

/** Who is logged in and what they may do. */
export function useMe(): UseQueryResult<Me, Error> {
  return useQuery<Me, Error>({
    queryKey: ["me"],
    queryFn: ({ signal }) => get<Me>("me", {}, signal),
    staleTime: 5 * 60_000,
    // Without an answer nobody may do anything: it must not stay so.
    refetchInterval: ({ state }) => (state.data === undefined && !isRefusal(state.error) ? SLOW_POLL_MS : false),
  });
}

/** Whether the user has a permission; until that is known, no. */
export function useMay(permission: Permission): boolean {
  return useMe().data?.can[permission] ?? false;
}

/** Read a list every few seconds; the rows before stay while a new page or filter is fetched. */
export function useListing<Row extends object>(
  path: string,
  query: Query,
  keyOf: (row: Row) => string | number,
): UseQueryResult<Listing<Row>, Error> {
  return useQuery<Listing<Row>, Error>({
    queryKey: [path, "list", query],
    queryFn: ({ signal }) => get<Listing<Row>>(path, resolveTimes(query), signal),
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
    structuralSharing: shareListing<Row>(keyOf),
  });
}

/** Read anything every few seconds. */
export function usePolled<T>(
  path: string,
  query: Query = {},
  options: {
    every?: number | false;
    /** Whether the answer to another query stays until this one's is there. */
    keep?: (before: Query) => boolean;
  } = {},
): UseQueryResult<T, Error> {
  return useQuery<T, Error>({
    queryKey: [path, "one", query],
    queryFn: ({ signal }) => get<T>(path, resolveTimes(query), signal),
    refetchInterval: options.every ?? SLOW_POLL_MS,
    placeholderData: (data: unknown, query?: { queryKey: QueryKey }): never | undefined =>
      query && options.keep?.(query.queryKey[2] as Query) ? (data as never) : undefined,
  });
}

const RELATIVE = /^-(\d+)([hd])$/;

/** Turn `-24h` and `-7d` into times: a saved view means the last day, not a certain day. */
export function resolveTimes(query: Query, now: number = Date.now()): Query {
  const resolved: Query = { ...query };
  for (const name of ["since", "until"]) {
    const match = RELATIVE.exec(String(query[name] ?? ""));
    if (!match) continue;
    const hours = Number(match[1]) * (match[2] === "d" ? 24 : 1);
    resolved[name] = new Date(now - hours * 3_600_000).toISOString();
  }
  return resolved;
}

const KEPT: ReadonlySet<unknown> = new Set(["me", "preview"]);

/** Ask for all that pages show again, after a change; a preview is of what was before it. */
export function refresh(client: QueryClient): void {
  void client.invalidateQueries({ predicate: (query) => !KEPT.has(query.queryKey[0]) });
}
