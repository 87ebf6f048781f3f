/** What an operator sees when there is nothing, or when something is wrong. */

import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";

import { write } from "../src/api/client";
import { plainSort } from "../src/pages/archive/ProductCards";
import { afterWords } from "../src/pages/run/RunGraph";
import { stepOf, ticksOf, tickWords } from "../src/pages/run/ticks";
import { OPERATOR, flowRow, listing, open, Status, stubApi, type Call } from "./site";

const AT = "2026-03-04T12:00:00Z";
const TOTALS = { status: {}, workflow: {}, instrument: {} };
const GONE = new TypeError("Failed to fetch");
const never = (): Promise<never> => new Promise(() => undefined);
const RUN = {
  run: flowRow({ run_key: 7, dataset: "j8bt06nyq", status: "failed", node: "CA", exit_code: 23 }),
  attempts: [{ attempt: 1, kind: "first", state: "failed" }],
  nodes: [
    {
      attempt: 1, node: "CA", try: 0, task_id: "CA", state: "failed", reason: null, host: "n1", slot: "s1", cluster: 7, proc: 0,
      submitted_at: AT, started_at: AT, ended_at: "2026-03-04T12:01:05Z", exit_code: 23, exit_signal: null, exit_name: "REFERENCE_MISSING",
      exit_sentence: "A reference file is missing.", hold_reason: null, memory_request_mb: null, memory_peak_mb: null, cpu_s: null, priority: 0, carried_from: null,
    },
  ],
  graph: { nodes: ["RF", "CA"], edges: [["RF", "CA"]] },
  actions: [],
};
const preview = { summary: "1 of 1 runs would be changed", items: [{ key: 7, name: "j8bt06nyq", will: "run again", why_not: null }], done: 0 };

describe("a server that does not answer", () => {
  it.each(["flow", "pollers", "pool", "archive", "run/7"])(
    "is said on %s, with what to do",
    async (page) => {
      vi.stubGlobal("fetch", vi.fn(() => Promise.reject(GONE)));
      open(`/plugin/owl/${page}`);
      expect((await screen.findAllByRole("alert"))[0]).toHaveTextContent(/The server does not answer\. OWL goes on trying/);
    },
  );

  it("is said without a flicker while OWL asks again, and no more when it answers", async () => {
    let answer: () => unknown = () => GONE;
    stubApi({ "runs/7": () => answer() });
    open("/plugin/owl/run/7");
    const alert = await screen.findByRole("alert");
    answer = never;
    await userEvent.click(within(alert).getByRole("button", { name: "Try again" }));
    expect(screen.getByRole("alert")).toBe(alert);
    expect(screen.queryByText(/^Loading/)).toBeNull();
  });

  it("leaves the rows and what was typed, and says that they are not refreshed", async () => {
    let gone = false;
    stubApi({
      "flow/totals": TOTALS,
      flow: () => (gone ? GONE : listing([flowRow({ dataset: "j8bt06nyq" })])),
    });
    open("/plugin/owl/flow");
    await screen.findByRole("link", { name: "j8bt06nyq" });
    gone = true;
    await userEvent.click(screen.getByRole("button", { name: "Refresh now" }));
    expect(await screen.findByText(/^Not refreshed: The server does not answer/)).toBeVisible();
    expect(screen.getByRole("link", { name: "j8bt06nyq" })).toBeVisible();
    const field = screen.getByRole("searchbox", { name: "Dataset begins with" });
    await userEvent.type(field, "j9");
    expect(await screen.findByRole("alert")).toBeVisible();
    expect(field).toHaveValue("j9");
  });
});

describe("an action that fails", () => {
  it.each([
    [403, { detail: { kind: "forbidden", message: "You may not change drill." } }, /You may not change drill/],
    [404, { detail: "Not Found" }, /Not Found/],
    [409, null, /Something changed meanwhile/],
    [422, { detail: [{ loc: ["body", "reason"], msg: "too long" }] }, /body\.reason: too long/],
    [500, null, /The server made a mistake/],
    [504, null, /it is not known whether this was done/],
  ])("by %d says so", async (code, body, words) => {
    stubApi({ "POST runs/actions": new Status(code, body) });
    await expect(write("runs/actions", { reason: null, dry_run: false })).rejects.toThrow(words);
  });

  it("by no answer is not known to have failed; a preview is", async () => {
    stubApi({ "POST runs/actions": GONE });
    await expect(write("runs/actions", { reason: null, dry_run: false })).rejects.toThrow(/it is not known/);
    await expect(write("runs/actions", { reason: null, dry_run: true })).rejects.toThrow(/does not answer/);
  });

  it("keeps what was typed, and looks again", async () => {
    const answer = new Status(409, null);
    const words = /Something changed meanwhile/;
    const calls = stubApi({ "runs/7": RUN, "POST runs/actions": (call: Call) => (call.body?.["dry_run"] ? preview : answer) });
    open("/plugin/owl/run/7");
    await userEvent.click(await screen.findByRole("button", { name: "Rescue" }));
    const dialog = await screen.findByRole("dialog");
    await within(dialog).findByText("run again");
    await userEvent.type(within(dialog).getByRole("textbox"), "new dark");
    await userEvent.click(within(dialog).getByRole("button", { name: "Rescue" }));
    expect(await within(dialog).findByRole("alert")).toHaveTextContent(words);
    expect(within(dialog).getByRole("textbox")).toHaveValue("new dark");
    const before = calls.filter((call) => call.body?.["dry_run"]).length;
    await userEvent.click(within(dialog).getByRole("button", { name: "Look again at what would happen" }));
    await waitFor(() => expect(calls.filter((call) => call.body?.["dry_run"])).toHaveLength(before + 1));
    await within(dialog).findByText("run again");
    expect(within(dialog).queryByRole("alert")).toBeNull();
    expect(within(dialog).getByRole("textbox")).toHaveValue("new dark");
  });
});

describe("a list that was too slow", () => {
  const database = new Status(503, { detail: { kind: "too_slow", message: "The database took too long. Narrow the filter" } });

  it.each([
    ["for a proxy", new Status(504, null), "The answer took too long. Narrow the filters or the time"],
    ["for the database", database, "The database took too long. Narrow the filter"],
  ])("%s is not asked for three times, and says what helps", async (_, answer, words) => {
    // Whoever asks a second time before saying so waits for ever; the next poll may come at any time.
    let asked = 0;
    stubApi({ "flow/totals": TOTALS, flow: () => (asked++ === 0 ? answer : never()) });
    open("/plugin/owl/flow");
    expect(await screen.findByRole("alert")).toHaveTextContent(words);
  });
});

describe("nothing to show", () => {
  it("is explained on the page of a run that has not begun", async () => {
    stubApi({ "runs/7": { ...RUN, run: flowRow({ run_key: 7, status: "queued", node: null }), nodes: [], graph: null } });
    open("/plugin/owl/run/7?view=log");
    expect(await screen.findByText("Nothing has run yet")).toBeVisible();
    expect(screen.getByText("The graph is not known yet")).toBeVisible();
    expect(screen.getByText("No node has run yet")).toBeVisible();
  });

  it("is explained for a run that is not there", async () => {
    stubApi({ "runs/7": new Status(404, { detail: { kind: "not_found", message: "Run 7: nothing is there." } }) });
    open("/plugin/owl/run/7");
    expect(await screen.findByRole("alert")).toHaveTextContent("Run 7: nothing is there.");
  });
});

describe("what a chart shows", () => {
  it("is in words, too", async () => {
    stubApi({ "runs/7": RUN });
    open("/plugin/owl/run/7");
    const words = await screen.findByRole("table", { name: "Timeline in words" });
    expect(within(words).getByRole("row", { name: "CA 1 failed 2026-03-04 12:00:00 2026-03-04 12:01:05 1 min 5 s" })).toBeInTheDocument();
    expect(screen.getByRole("button", { name: "CA failed show its log" })).toHaveAccessibleDescription("after RF");
    expect(document.querySelector("svg.owl-edge, path.owl-edge")).toBeNull();
  });

  it("has marks at round times, as many as fit", () => {
    const from = Date.parse("2026-03-04T12:00:03Z");
    expect(ticksOf(from, from + 20_000, 5).map((at) => tickWords(at, stepOf(from, from + 20_000, 5)))).toEqual(["12:00:05", "12:00:10", "12:00:15", "12:00:20"]);
    expect(tickWords(Date.parse("2026-03-05T00:00:00Z"), 3_600_000)).toBe("03-05");
    expect(ticksOf(from, from + 400 * 86_400_000, 8).length).toBeLessThanOrEqual(8);
  });

  it("says the order of the graph", () => {
    expect(afterWords("D", [["B", "D"], ["C", "D"]])).toBe("after B, C");
    expect(afterWords("A", [["A", "B"]])).toBe("begins");
  });
});

it("shows the dataset's picture for images alone", () => {
  expect(["a_drz.fits", "a_raw.fits.gz", "a.jpg", "a_references.json", "a.txt", "README"].map(plainSort)).toEqual([null, null, null, "JSON", "TXT", "FILE"]);
});

it("asks again who the user is as long as the server does not say it", async () => {
  let asked = 0;
  stubApi({ "flow/totals": TOTALS, flow: listing([]), me: () => (asked++ < 3 ? new Status(500, null) : OPERATOR) });
  open("/plugin/owl/flow");
  expect(await screen.findByText("OWL 0.1.0")).toBeVisible();
});

describe("the log of a job that runs", () => {
  it("has what the job wrote last when it has ended", async () => {
    const begun = { ...RUN.nodes[0], state: "running", ended_at: null, exit_code: null, exit_sentence: null };
    const [running, done] = [begun, { ...begun, state: "done", exit_code: 0 }].map((node) => ({ ...RUN, nodes: [node] }));
    const page = (...texts: string[]) => ({
      lines: texts.map((text, before) => ({ n: before + 1, text })),
      total: texts.length, matches: null, truncated: false, path: "/x",
    });
    // The log has its last line when the page hears of the end, not before.
    let asked = 0;
    stubApi({
      "runs/7": () => (asked++ === 0 ? running : done),
      "runs/7/log": () => (asked > 1 ? page("the first word", "the last word") : page("the first word")),
    });
    open("/plugin/owl/run/7?view=log&node=CA&attempt=1&try=0&stream=out");
    expect(await screen.findByText("the first word")).toBeVisible();
    expect(await screen.findByText("the last word")).toBeVisible();
  });

  it("follows until somebody wants to stay, and stays at that node, too", async () => {
    const nodes = [{ ...RUN.nodes[0], state: "running", ended_at: null, exit_code: null, exit_sentence: null }];
    stubApi({
      "runs/7": { ...RUN, run: flowRow({ run_key: 7, status: "running", node: "CA" }), nodes },
      "runs/7/log": { lines: [{ n: 1, text: "begins" }, { n: 2, text: "goes on" }], total: 2, matches: null, truncated: false, path: "/x" },
    });
    const { router } = open("/plugin/owl/run/7?view=log");
    const follow = await screen.findByRole("button", { name: "Follow" });
    expect(follow).toHaveAttribute("aria-pressed", "true");
    expect(screen.getByRole("button", { name: "CA running show its log" })).toHaveAttribute("data-current");
    // Tab comes to one line; the arrows go on from there.
    const last = await screen.findByRole("link", { name: "Line 2" });
    expect(screen.getByRole("link", { name: "Line 1" })).toHaveAttribute("tabindex", "-1");
    last.focus();
    await userEvent.keyboard("{ArrowUp}");
    expect(screen.getByRole("link", { name: "Line 1" })).toHaveFocus();
    await userEvent.click(follow);
    expect(follow).toHaveAttribute("aria-pressed", "false");
    expect(router.state.location.search).toContain("node=CA");
  });
});
