import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { leave } from "../src/api/client";
import type { Me } from "../src/api/types";
import { flowRow, listing, open, OPERATOR, Status, stubApi, VIEWER, type Call } from "./site";

const AT = "2026-03-04T12:00:00Z";
const EMPTY_TOTALS = { status: {}, workflow: {}, instrument: {} };

const node = (name: string, attempt: number, state: string, fields: object = {}) => ({
  attempt, node: name, try: 0, task_id: name, state, reason: null, host: "node1", slot: "slot1", cluster: 7,
  proc: 0, submitted_at: AT, started_at: AT, ended_at: "2026-03-04T12:01:00Z", exit_code: state === "done" ? 0 : 23,
  exit_signal: null, exit_name: "REFERENCE_MISSING", exit_sentence: "A reference file is missing.", hold_reason: null,
  memory_request_mb: 1000, memory_peak_mb: 400, cpu_s: 30, priority: 0, carried_from: null, ...fields,
});
const RUN = {
  run: flowRow({ run_key: 7, dataset: "j8bt06nyq", status: "failed", node: "CA", exit_code: 23, exit_name: "REFERENCE_MISSING", exit_sentence: "A reference file is missing.", error_kind: "node_failed" }),
  attempts: [{ attempt: 1, kind: "first", state: "failed" }],
  nodes: [node("2FITS", 1, "done"), node("CA", 1, "failed"), node("AC", 1, "futile", { submitted_at: null, started_at: null, ended_at: null })],
  graph: { nodes: ["2FITS", "CA", "AC"], edges: [["2FITS", "CA"], ["CA", "AC"]] },
  actions: [{ at: AT, who: "op", action: "rescue", what: "attempt 2: wanted", reason: "reference delivered" }],
};
const LOG = { lines: [{ n: 41, text: "opening dark.fits" }, { n: 42, text: "ERROR dark.fits is damaged" }], total: 42, matches: null, truncated: false, path: "/runs/CA.err" };
const GROUP = {
  node: "CA", error_kind: "node_failed", fingerprint: "f1", n: 412, held: 0, first_at: AT, last_at: AT, sample: 7,
  sample_dataset: "j8bt06nyq", sample_message: "dark.fits is damaged", workflows: ["acs"], exit_code: 23, exit_signal: null,
  exit_name: "REFERENCE_MISSING", exit_sentence: "A reference file is missing.", accepted_reason: null, accepted_by: null, accepted_at: null, until: null,
};
const ENTRY = { id: 3, fileset: "j9xx01010", type: "acs", instrument: "ACS", priority: 5, state: "waiting", reason: null, campaign: null, requested_by: "op", inserted_at: AT, updated_at: AT };
const POLLER = { name: "DP_ACS", dag_id: "poll_acs", kind: "folder", directory: "/in", interval_s: 10, state: "running", paused: false, declared: true, busy: false, beat_at: AT, result_at: AT, result: { accepted: 3 }, note: null, error: null };
const FILE = { id: 9, poller: "DP_ACS", name: "bad.fits", directory: "/in", bytes: 10, fileset: null, type: null, state: "quarantined", reason: "cut off", path: "/q/bad.fits", arrived_at: AT };
const CAMPAIGN = { name: "dark-2026", type: "acs", state: "running", priority: 0, total: 10, open: 5, done: 4, failed: 1, source: "query", reason: null, created_by: "op", approved_by: null, created_at: AT };
const REPORT = { ...CAMPAIGN, ended: 5, counts: { waiting: 5, done: 4, failed: 1 }, rate_per_hour: 60, eta_s: 300, last_ended_at: AT, failures: [{ kind: "CA REFERENCE_MISSING", n: 1, for_instance: "j8bt06nyq" }] };

const outcome = (call: Call) => ({
  summary: "it would be so",
  items: [{ key: 1, name: "one", will: "be so", why_not: null }],
  done: call.body?.["dry_run"] ? 0 : 1,
});

function site(me: Me, more: Record<string, unknown> = {}): Call[] {
  return stubApi({
    me,
    flow: listing([RUN.run]),
    "flow/totals": EMPTY_TOTALS,
    "runs/7": RUN,
    "runs/7/log": LOG,
    "runs/find": { run_key: 7, node: "CA" },
    "POST runs/actions": outcome,
    alerts: listing([]),
    errors: { rows: [GROUP] },
    "errors/runs": { rows: [{ run_key: 7, dataset: "j8bt06nyq" }, { run_key: 8, dataset: "other" }] },
    "POST errors/accept": outcome,
    queue: listing([ENTRY]),
    "queue/totals": { rows: [{ priority: 5, type: "acs", unshoveled: 1, total: 1, waiting: 1 }] },
    history: listing([]),
    "POST queue/actions": outcome,
    pollers: { rows: [POLLER], errors: [], as_of: AT },
    "pollers/arrivals": listing([FILE]),
    "POST pollers/DP_ACS/actions": outcome,
    "POST pollers/quarantine/actions": outcome,
    campaigns: { rows: [CAMPAIGN], as_of: AT },
    "campaigns/dark-2026": REPORT,
    "campaigns/dark-2026/members": { rows: [] },
    "POST campaigns/dark-2026/actions": outcome,
    pool: { as_of: AT, machines: [], users: [], jobs: { running: 1 } },
    "pool/health": { as_of: AT, daemons: [], logs: [], console: { marks: 0, oldest_s: null } },
    products: listing([]),
    ...more,
  });
}

const posts = (calls: Call[]): Call[] => calls.filter((call) => call.method === "POST");

async function confirm(verb: string): Promise<void> {
  const dialog = await screen.findByRole("dialog");
  await within(dialog).findByText("it would be so");
  await userEvent.click(within(dialog).getByRole("button", { name: verb }));
  await screen.findByRole("heading", { name: /: done$/ });
}

describe("a run", () => {
  it("shows what failed with its sentence, the graph's states and who did what", async () => {
    site(OPERATOR);
    open("/plugin/owl/run/7?view=actions");
    expect(await screen.findByText(/CA: node failed, 23 REFERENCE_MISSING: A reference file is missing\./)).toBeVisible();
    expect(screen.getByRole("button", { name: "CA failed show its log" })).toBeVisible();
    expect(screen.getByText("reference delivered")).toBeVisible();
  });

  it("leads from the graph to the log of a node, marks a linked line, and searches", async () => {
    const calls = site(OPERATOR);
    const { router } = open("/plugin/owl/run/7");
    await userEvent.click(await screen.findByRole("button", { name: "CA failed show its log" }));
    const line = await screen.findByRole("link", { name: "Line 42" });
    expect(screen.getByText("/runs/CA.err")).toBeVisible();
    const asked = calls.find((call) => call.path === "runs/7/log")?.query;
    // What failed with an exit code said why on stderr.
    expect(asked?.get("stream")).toBe("err");
    expect(asked?.get("try")).toBe("0");
    await userEvent.click(line);
    expect(router.state.location.search).toContain("line=42");
    // The same element: the page does not flash while another part of the file is read.
    await waitFor(() => expect(line.closest("[data-line]")).toHaveAttribute("data-marked", "true"));
    expect(calls.filter((call) => call.path === "runs/7/log").at(-1)?.query.get("first")).toBe("1");
    await userEvent.type(screen.getByRole("searchbox", { name: "Find in the log" }), "damaged");
    await waitFor(() => expect(calls.at(-1)?.query.get("search")).toBe("damaged"));
    expect((await screen.findByText("damaged", { selector: "mark" })).tagName).toBe("MARK");
  });

  it("is rescued from its head", async () => {
    const calls = site(OPERATOR);
    open("/plugin/owl/run/7");
    await userEvent.click(await screen.findByRole("button", { name: "Rescue" }));
    await confirm("Rescue");
    expect(posts(calls).at(-1)?.body).toMatchObject({ action: "rescue", run_keys: [7], dry_run: false });
  });

  it("is found from Airflow's own page of the DAG run, and a foreign one is said to be foreign", async () => {
    site(OPERATOR);
    const { unmount } = open("/dags/d/runs/r/plugin/owl-dataset", "OWL dataset", { dagId: "d", runId: "r" });
    expect(await screen.findByRole("heading", { name: "j8bt06nyq" })).toBeVisible();
    unmount();
    site(OPERATOR, { "runs/find": new Status(404, { detail: { kind: "not_found", message: "x" } }) });
    open("/dags/d/runs/x/plugin/owl-dataset", "OWL dataset", { dagId: "d", runId: "x" });
    expect(await screen.findByText("This is not a run of OWL")).toBeVisible();
  });
});

describe("the main actions of the pages", () => {
  it("rescues all runs of one cause", async () => {
    const calls = site(OPERATOR);
    open("/plugin/owl/errors");
    await userEvent.click(await screen.findByRole("button", { name: /^Controls of CA/ }));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Rescue all 412…" }));
    await confirm("Rescue");
    expect(posts(calls).at(-1)?.body).toMatchObject({ action: "rescue", run_keys: [7, 8], dry_run: false });
    expect(calls.find((call) => call.path === "errors/runs")?.query.get("cause_fingerprint")).toBe("f1");
  });

  it("rescues only the runs of a cause that fit the page's filters", async () => {
    const calls = site(OPERATOR);
    open("/plugin/owl/errors?campaign=flats7&workflow=acs&since=-24h&status=done");
    const datasets = await screen.findByRole("link", { name: "412" });
    const flow = new URL(datasets.getAttribute("href") ?? "", "http://owl");
    expect(Object.fromEntries(flow.searchParams)).toMatchObject({
      campaign: "flats7", workflow: "acs", since: "-24h", node: "CA", fingerprint: "f1",
    });
    expect(flow.searchParams.getAll("status")).not.toContain("done");
    await userEvent.click(await screen.findByRole("button", { name: /^Controls of CA/ }));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Rescue all 412…" }));
    await confirm("Rescue");
    const asked = calls.find((call) => call.path === "errors/runs")?.query;
    expect(asked?.get("campaign")).toBe("flats7");
    expect(asked?.getAll("workflow")).toEqual(["acs"]);
    expect(Date.parse(asked?.get("since") ?? "")).toBeLessThan(Date.now() - 23 * 3_600_000);
  });

  it("names the browser's tab by the page, and gives the name back", async () => {
    document.title = "Airflow";
    site(OPERATOR);
    const { unmount } = open("/plugin/owl/queue");
    await waitFor(() => expect(document.title).toBe("Queue · OWL"));
    unmount();
    expect(document.title).toBe("Airflow");
  });

  it("accepts a known failure only with a reason", async () => {
    const calls = site(OPERATOR);
    open("/plugin/owl/errors");
    await userEvent.click(await screen.findByRole("button", { name: /^Controls of CA/ }));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Accept as known…" }));
    const dialog = await screen.findByRole("dialog");
    await within(dialog).findByText("it would be so");
    expect(within(dialog).getByRole("button", { name: "Accept" })).toBeDisabled();
    await userEvent.type(within(dialog).getByRole("textbox"), "known");
    await confirm("Accept");
    expect(posts(calls).at(-1)?.body).toMatchObject({ fingerprint: "f1", accepted: true, reason: "known" });
  });

  it("takes an entry out of the queue, and changes a priority in place", async () => {
    const calls = site(OPERATOR);
    open("/plugin/owl/queue?fileset=j9");
    await userEvent.click(await screen.findByRole("button", { name: "Remove j9xx01010 acs" }));
    await confirm("Remove");
    expect(posts(calls).at(-1)?.body).toMatchObject({ action: "remove", ids: [3], dry_run: false });
    await userEvent.click(screen.getByRole("button", { name: "Close" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    await userEvent.click(await screen.findByRole("button", { name: /^Priority of j9xx01010: 5/ }));
    await userEvent.type(screen.getByRole("spinbutton", { name: "Priority of j9xx01010" }), "{Backspace}9{Enter}");
    await waitFor(() => expect(posts(calls).at(-1)?.body).toMatchObject({ action: "priority", ids: [3], priority: 9 }));
    expect(calls.find((call) => call.path === "queue")?.query.get("fileset")).toBe("j9*");
  });

  it("keeps a priority that was typed until it is kept or left, and says why it cannot be", async () => {
    const calls = site(OPERATOR);
    open("/plugin/owl/queue");
    const change = async () => userEvent.click(await screen.findByRole("button", { name: /^Priority of j9xx01010: 5/ }));
    await change();
    const field = () => screen.getByRole("spinbutton", { name: "Priority of j9xx01010" });
    await userEvent.type(field(), "{Backspace}1.5{Enter}");
    expect(screen.getByText("a whole number from -10000 to 10000")).toBeVisible();
    expect(posts(calls)).toHaveLength(0);
    await userEvent.click(document.body);
    expect(field()).toHaveValue(1.5);
    await userEvent.type(field(), "{Escape}");
    await change();
    await userEvent.click(document.body);
    expect(screen.queryByRole("spinbutton")).toBeNull();
  });

  it("stops a poller, and releases a file from quarantine", async () => {
    const calls = site(OPERATOR);
    const { unmount } = open("/plugin/owl/pollers");
    await userEvent.click(await screen.findByRole("button", { name: "Stop DP_ACS" }));
    await confirm("Stop");
    expect(posts(calls).at(-1)).toMatchObject({ path: "pollers/DP_ACS/actions", body: { action: "stop" } });
    unmount();
    open("/plugin/owl/pollers?view=quarantine");
    await userEvent.click(await screen.findByRole("button", { name: "Controls of bad.fits of DP_ACS" }));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Release…" }));
    await confirm("Release");
    expect(posts(calls).at(-1)?.body).toMatchObject({ action: "release", ids: [9] });
  });

  it("pauses a campaign", async () => {
    const calls = site(OPERATOR);
    open("/plugin/owl/campaigns?name=dark-2026");
    expect(await screen.findByText("60 per hour")).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Pause" }));
    await confirm("Pause");
    expect(posts(calls).at(-1)?.body).toEqual({ action: "pause", reason: null, dry_run: false });
  });
});

describe("a viewer", () => {
  const WRITES = /^(rescue|hold|release|remove|priority|change priority|stop|start|pause|resume|cancel|retry|approve|reject|accept|delete|acknowledge)/i;

  it.each([
    ["run/7", /j8bt06nyq/],
    ["errors", /dark\.fits is damaged/],
    ["queue", /j9xx01010/],
    ["history", /Nothing has left/],
    ["pollers", /DP_ACS/],
    ["pollers?view=quarantine", /bad\.fits/],
    ["campaigns?name=dark-2026", /60 per hour/],
    ["alerts", /No alert fits/],
    ["pool", /The pool is empty/],
    ["archive", /No product fits/],
  ])("sees %s without a control that writes", async (page, words) => {
    const calls = site(VIEWER);
    open(`/plugin/owl/${page}`);
    expect((await screen.findAllByText(words))[0]).toBeInTheDocument();
    await screen.findByText(/You may look, not change/);
    for (const button of document.querySelectorAll("button")) {
      expect(button.getAttribute("aria-label") ?? button.textContent ?? "").not.toMatch(WRITES);
    }
    expect(document.querySelector("input[aria-label^='Select']")).toBeNull();
    expect(posts(calls)).toEqual([]);
  });
});

describe("a session that is over", () => {
  const to = leave.to;
  beforeEach(() => {
    leave.to = vi.fn();
  });
  afterEach(() => {
    leave.to = to;
  });

  it("goes to the login, and comes back to the same place", async () => {
    stubApi({ me: new Status(401, { detail: "Not authenticated" }), flow: new Status(401, {}), "flow/totals": new Status(401, {}) });
    open("/plugin/owl/flow");
    await waitFor(() => expect(leave.to).toHaveBeenCalled());
    const url = new URL(vi.mocked(leave.to).mock.calls[0]?.[0] ?? "");
    expect(url.pathname).toMatch(/api\/v2\/auth\/login$/);
    expect(url.searchParams.get("next")).toBe(window.location.href);
  });
});

describe("what is silent", () => {
  const health = { as_of: AT, daemons: [], logs: [], console: { marks: 0, oldest_s: null } };
  const mirror = { name: "mirror", since: AT, age_s: 42, means: "States are of then." };

  it.each(["flow", "errors", "queue", "campaigns"])("is said on the page %s", async (page) => {
    site(OPERATOR, { "pool/health": { ...health, silent: [mirror] } });
    open(`/plugin/owl/${page}`);
    const banner = await screen.findByText(/The mirror has been silent for 42/);
    expect(banner.closest("[role=alert]")).toHaveTextContent("States are of then.");
  });

  it.each(["OWL dataset", "OWL node", "OWL card"])("is said in Airflow's pages, too: %s", async (app) => {
    site(OPERATOR, { "pool/health": { ...health, silent: [mirror] } });
    open("/dags/d/runs/r", app, { dagId: "d", runId: "r", taskId: "CA" });
    expect(await screen.findByText(/The mirror has been silent for 42/)).toBeVisible();
  });

  it("is not said while all is well", async () => {
    site(OPERATOR, { "pool/health": { ...health, silent: [] } });
    open("/plugin/owl/flow");
    expect(await screen.findByText("j8bt06nyq")).toBeVisible();
    expect(screen.queryByText(/silent/)).toBeNull();
  });

  it("makes figures old, by the time that they are of", async () => {
    site(OPERATOR, { flow: { ...listing([RUN.run]), as_of: AT } });
    open("/plugin/owl/flow");
    expect(await screen.findByText(/These figures are old/)).toBeVisible();
    expect(screen.getByText("as of 12:00:00 UTC")).toBeVisible();
  });
});
