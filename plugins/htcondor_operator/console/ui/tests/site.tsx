/** A page of the console as the host shows it, with a stubbed API. */

import { ChakraProvider, defaultSystem } from "@chakra-ui/react";
import { act, fireEvent, render } from "@testing-library/react";
import { RouterProvider, createBrowserRouter } from "react-router-dom";
import { vi } from "vitest";

import type { FlowRow, Me } from "../src/api/types";
import { DEBOUNCE_MS } from "../src/lib/draft";
import { APPS, type HostProps } from "../src/shell/apps";

export interface Call {
  method: string;
  /** Behind `/owl/api/`. */
  path: string;
  query: URLSearchParams;
  body: Record<string, unknown> | null;
  headers: Headers;
}

export type Answer = unknown | ((call: Call) => unknown);

/** An answer with a status. */
export class Status {
  constructor(
    readonly code: number,
    readonly body: unknown,
  ) {}
}

export const OPERATOR: Me = {
  user: "operator",
  can: { read: true, operate: true, request: true, manage: true, administer: true },
  version: "0.1.0",
  workflows: ["acs_single_repro", "wf3_single_repro"],
  nodes: ["2FITS", "CA", "AC"],
  statuses: ["running", "failed", "done"],
  errors: { node_failed: "The node's program ended with a non-zero exit code." },
  exit_codes: { "23": { name: "REFERENCE_MISSING", sentence: "A reference file is missing." } },
};
export const VIEWER: Me = {
  ...OPERATOR,
  user: "viewer",
  can: { read: true, operate: false, request: false, manage: false, administer: false },
};

const NO_ALERTS = { open: 0, unacknowledged: 0, worst: null, severity: {} };

/** Answer the API's routes; what is not named is a 404. */
export function stubApi(routes: Record<string, Answer>): Call[] {
  const calls: Call[] = [];
  const answers: Record<string, Answer> = { me: OPERATOR, "alerts/totals": NO_ALERTS, ...routes };
  vi.stubGlobal(
    "fetch",
    vi.fn(async (input: string | URL, init: RequestInit = {}) => {
      const url = new URL(String(input));
      const path = url.pathname.split("/owl/api/")[1] ?? "";
      const call: Call = {
        method: init.method ?? "GET",
        path,
        query: url.searchParams,
        body: init.body ? (JSON.parse(String(init.body)) as Record<string, unknown>) : null,
        headers: new Headers(init.headers),
      };
      calls.push(call);
      const route = answers[`${call.method} ${path}`] ?? answers[path];
      let answer = typeof route === "function" ? (route as (call: Call) => unknown)(call) : route;
      answer = await answer;
      if (answer instanceof Error) throw answer;
      if (answer === undefined) answer = new Status(404, { detail: { kind: "not_found", message: `no route ${path}` } });
      const [code, body] = answer instanceof Status ? [answer.code, answer.body] : [200, answer];
      return new Response(JSON.stringify(body), { status: code });
    }),
  );
  return calls;
}

/** A listing of rows. */
export const listing = (rows: unknown[], next: string | null = null) => ({
  rows,
  next,
  as_of: new Date().toISOString(),
});

let counter = 1;

/** A row of the data flow. */
export function flowRow(fields: Partial<FlowRow> = {}): FlowRow {
  const key = fields.run_key ?? counter++;
  return {
    run_key: key,
    dag_id: "acs_single_repro",
    run_id: `manual__${key}`,
    dataset: `j8bt${String(key).padStart(5, "0")}`,
    workflow: "acs_single_repro",
    instrument: "ACS",
    status: "running",
    node: "CA",
    node_state: "running",
    attempt: 1,
    rescues: 0,
    priority: 0,
    created_at: "2026-03-04T12:00:00Z",
    started_at: "2026-03-04T12:00:05Z",
    ended_at: null,
    updated_at: "2026-03-04T12:03:00Z",
    exit_code: null,
    exit_signal: null,
    exit_name: null,
    exit_sentence: null,
    error_kind: null,
    error_message: null,
    hold_reason: null,
    host: "node1.example.org",
    owner: "owl",
    campaign: null,
    lag_s: 0.3,
    nodes_total: 8,
    nodes_done: 3,
    ...fields,
  };
}

/** Show the console at a place. */
export function open(place: string, app = "OWL", props: HostProps = {}) {
  const App = APPS[app];
  if (!App) throw new Error(`no app ${app}`);
  window.history.replaceState(null, "", place);
  const router = createBrowserRouter([{ path: "*", element: <App {...props} /> }]);
  const view = render(
    <ChakraProvider value={defaultSystem}>
      <RouterProvider router={router} />
    </ChakraProvider>,
  );
  return { router, ...view };
}

/**
 * Type a text letter by letter, each just before the pause after the last one is over.
 *
 * The clock stands still meanwhile: on a busy machine two real keys may be any time apart. `before`
 * is called at the end of the last pause, before what was typed is sent.
 */
export function typeWithoutPause(field: HTMLElement, text: string, before?: () => void): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    for (let length = 1; length <= text.length; length++) {
      fireEvent.change(field, { target: { value: text.slice(0, length) } });
      act(() => void vi.advanceTimersByTime(DEBOUNCE_MS - 1));
    }
    before?.();
    act(() => void vi.advanceTimersByTime(1));
  } finally {
    vi.useRealTimers();
  }
}
