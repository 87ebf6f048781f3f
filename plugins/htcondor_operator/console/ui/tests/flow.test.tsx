import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";

import { VIEWER, flowRow, listing, open, stubApi, Status, typeWithoutPause, type Call } from "./site";

const FAILED = flowRow({
  dataset: "j8bt06nyq",
  status: "failed",
  node_state: "failed",
  exit_code: 23,
  exit_name: "REFERENCE_MISSING",
  exit_sentence: "A reference file is missing.",
  error_kind: "node_failed",
});
const TOTALS = { status: { failed: 1 }, workflow: {}, instrument: {} };
const flowCalls = (calls: Call[]): Call[] => calls.filter((call) => call.path === "flow");

async function rowOf(name: string): Promise<HTMLElement> {
  const cell = await screen.findByRole("link", { name });
  return cell.closest("tr") as HTMLElement;
}

describe("the data flow", () => {
  it("asks for what the URL's filters say", async () => {
    const calls = stubApi({ flow: listing([FAILED]), "flow/totals": { status: { failed: 1 }, workflow: {}, instrument: {} } });
    open("/plugin/owl/flow?status=failed&status=held&search=j8bt&sort=-updated&exit_code=23&since=-24h");
    await rowOf("j8bt06nyq");
    const query = flowCalls(calls)[0]?.query;
    expect(query?.getAll("status")).toEqual(["failed", "held"]);
    expect(query?.get("search")).toBe("j8bt");
    expect(query?.get("sort")).toBe("-updated");
    expect(query?.get("exit_code")).toBe("23");
    expect(query?.get("limit")).toBe("100");
    const since = Date.parse(query?.get("since") ?? "");
    expect(Math.abs(Date.now() - since - 86_400_000)).toBeLessThan(60_000);
    const totals = calls.find((call) => call.path === "flow/totals")?.query;
    expect(totals?.getAll("status")).toEqual([]);
    expect(totals?.get("search")).toBe("j8bt");
  });

  it("keeps typed letters and asks once, after a pause", async () => {
    const calls = stubApi({ flow: listing([FAILED]), "flow/totals": { status: {}, workflow: {}, instrument: {} } });
    const { router } = open("/plugin/owl/flow?cursor=abc&page=3");
    const box = await screen.findByRole("searchbox", { name: "Dataset begins with" });
    typeWithoutPause(box, "j8bt06", () => {
      expect(box).toHaveValue("j8bt06");
      expect(router.state.location.search).not.toContain("search=");
    });
    await waitFor(() => expect(router.state.location.search).toContain("search=j8bt06"));
    expect(box).toHaveValue("j8bt06");
    // A new filter begins at the first page.
    expect(router.state.location.search).not.toContain("cursor");
    await waitFor(() => {
      const searched = flowCalls(calls).map((call) => call.query.get("search"));
      expect([...new Set(searched)]).toEqual([null, "j8bt06"]);
    });
  });

  it("sends what is typed when the field is left, and stays with it when one comes back", async () => {
    stubApi({ flow: listing([FAILED]), "flow/totals": TOTALS, queue: listing([]), "queue/status": { rows: [] } });
    const { router } = open("/plugin/owl/flow");
    await userEvent.type(await screen.findByRole("searchbox", { name: "Dataset begins with" }), "j8bt06");
    await userEvent.click(screen.getByRole("link", { name: "Queue" }));
    await screen.findByText("Nothing waits");
    expect(router.state.location).toMatchObject({ pathname: "/plugin/owl/queue", search: "" });
    await act(() => router.navigate(-1));
    expect(await screen.findByRole("searchbox", { name: "Dataset begins with" })).toHaveValue("j8bt06");
  });

  it("writes no filter into the address of the page that comes next", async () => {
    stubApi({ flow: listing([FAILED]), "flow/totals": TOTALS });
    const { router } = open("/plugin/owl/flow");
    const box = await screen.findByRole("searchbox", { name: "Dataset begins with" });
    await userEvent.type(box, "j8bt06");
    await act(async () => {
      // The address is the next page's already, this page has not been drawn yet.
      void router.navigate("/plugin/owl/queue");
      fireEvent.keyDown(box, { key: "Enter" });
    });
    expect(router.state.location).toMatchObject({ pathname: "/plugin/owl/queue", search: "" });
  });

  it("keeps a filter that is on its way into the address when another is chosen", async () => {
    stubApi({ flow: listing([FAILED]), "flow/totals": TOTALS });
    const { router } = open("/plugin/owl/flow");
    const badge = await screen.findByTitle("Show only failed");
    await act(async () => {
      // The address has it already, the page has not been drawn with it yet.
      void router.navigate("/plugin/owl/flow?search=j8bt06", { replace: true });
      fireEvent.click(badge);
    });
    expect(router.state.location.search).toBe("?search=j8bt06&status=failed");
  });

  it("says an exit code's name and sentence on hover", async () => {
    stubApi({ flow: listing([FAILED]), "flow/totals": { status: {}, workflow: {}, instrument: {} } });
    open("/plugin/owl/flow");
    const row = await rowOf("j8bt06nyq");
    expect(within(row).getByTitle("23 REFERENCE_MISSING: A reference file is missing.")).toHaveTextContent("23");
  });

  it("leads from a red cell to the log of the node", async () => {
    const done = flowRow({ dataset: "fine", status: "done" });
    stubApi({ flow: listing([FAILED, done]), "flow/totals": TOTALS });
    open("/plugin/owl/flow");
    const row = await rowOf("j8bt06nyq");
    const link = within(row).getByRole("link", { name: "failed: log of CA of j8bt06nyq" });
    expect(link).toHaveTextContent("failed");
    expect(link).toHaveAttribute("href", `/plugin/owl/run/${FAILED.run_key}?view=log&node=CA`);
    expect(within(await rowOf("fine")).queryByRole("link", { name: /log of/ })).toBeNull();
  });

  it("has the log beside the exit code in the expanded row", async () => {
    const node = {
      attempt: 1, node: "CA", try: 0, state: "failed", host: "node1", slot: null, submitted_at: null,
      started_at: "2026-03-04T12:00:00Z", ended_at: null, exit_code: 23, exit_name: null, exit_sentence: null,
      hold_reason: null, reason: "damaged", carried_from: null, cluster: 1, proc: 0,
    };
    stubApi({
      flow: listing([FAILED]),
      "flow/totals": TOTALS,
      [`runs/${FAILED.run_key}`]: { run: FAILED, attempts: [], nodes: [node], graph: null, actions: [] },
    });
    open("/plugin/owl/flow");
    await userEvent.click(within(await rowOf("j8bt06nyq")).getByRole("button", { name: /^Nodes of/ }));
    const nodes = await screen.findByRole("table", { name: "Nodes of all attempts" });
    const heads = within(nodes).getAllByRole("columnheader").map((head) => head.textContent);
    expect(heads.slice(3, 7)).toEqual(["State", "Exit", "Log", "Why"]);
    const cells = within(nodes).getAllByRole("cell").map((cell) => cell.textContent);
    expect(cells.slice(3, 7)).toEqual(["failed", "23", "log", "damaged"]);
  });

  it("offers the nodes that there are", async () => {
    const calls = stubApi({ flow: listing([FAILED]), "flow/totals": TOTALS });
    open("/plugin/owl/flow?node=OLD");
    await screen.findByText("j8bt06nyq");
    // The badge in the filter's button says what is chosen.
    await userEvent.click(screen.getByText("OLD").closest("button") as HTMLElement);
    const menu = await screen.findByRole("menu", { name: /^Node/ });
    const offered = within(menu).getAllByRole("menuitemcheckbox").map((item) => item.textContent);
    expect(offered).toEqual(["2FITS", "CA", "AC", "OLD"]);
    await userEvent.click(within(menu).getByRole("menuitemcheckbox", { name: "CA" }));
    await waitFor(() => expect(flowCalls(calls).at(-1)?.query.getAll("node")).toEqual(["OLD", "CA"]));
  });

  it("has one menu for all rows, which opens at the row that asked", async () => {
    stubApi({ flow: listing([FAILED, flowRow({ dataset: "other" })]), "flow/totals": { status: {}, workflow: {}, instrument: {} } });
    open("/plugin/owl/flow");
    const row = await rowOf("j8bt06nyq");
    // No row brings a menu of its own.
    expect(document.querySelectorAll("table [data-scope=menu]")).toHaveLength(0);
    await userEvent.click(within(row).getByRole("button", { name: "Controls of j8bt06nyq acs_single_repro" }));
    const menu = await screen.findByRole("menu", { name: "Controls of j8bt06nyq acs_single_repro" });
    expect(within(menu).getByRole("menuitem", { name: "Rescue…" })).toBeVisible();
    expect(within(menu).queryByRole("menuitem", { name: "Hold…" })).toBeNull();
    expect(screen.getAllByRole("menu")).toHaveLength(1);
  });

  it("previews an action, and acts only when it is confirmed", async () => {
    const calls = stubApi({
      flow: listing([FAILED]),
      "flow/totals": { status: {}, workflow: {}, instrument: {} },
      "POST runs/actions": (call: Call) =>
        call.body?.["dry_run"]
          ? {
              summary: "1 run: 1 will be rescued",
              items: [{ key: 1, name: "j8bt06nyq", will: "run CA and AC again", why_not: null }],
              done: 0,
            }
          : { summary: "1 run rescued", items: [], done: 1 },
    });
    open("/plugin/owl/flow");
    const row = await rowOf("j8bt06nyq");
    await userEvent.click(within(row).getByRole("button", { name: /^Controls of/ }));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Rescue…" }));
    const dialog = await screen.findByRole("dialog");
    expect(await within(dialog).findByText("run CA and AC again")).toBeInTheDocument();
    const writes = () => calls.filter((call) => call.method === "POST");
    expect(writes().every((call) => call.body?.["dry_run"] === true)).toBe(true);
    await userEvent.type(within(dialog).getByRole("textbox"), "reference delivered");
    await userEvent.click(within(dialog).getByRole("button", { name: "Rescue" }));
    expect(await screen.findByText("1 run rescued")).toBeInTheDocument();
    const real = writes().filter((call) => call.body?.["dry_run"] === false);
    expect(real).toHaveLength(1);
    expect(real[0]?.headers.get("X-OWL-Request")).toBe("1");
    expect(real[0]?.headers.get("Content-Type")).toBe("application/json");
    expect(real[0]?.body).toMatchObject({
      action: "rescue",
      run_keys: [FAILED.run_key],
      reason: "reference delivered",
    });
  });

  it("does not offer to confirm what is not possible", async () => {
    stubApi({
      flow: listing([FAILED]),
      "flow/totals": { status: {}, workflow: {}, instrument: {} },
      "POST runs/actions": {
        summary: "1 run: 1 cannot",
        items: [{ key: 1, name: "j8bt06nyq", will: "", why_not: "the template is gone" }],
        done: 0,
      },
    });
    open("/plugin/owl/flow");
    const row = await rowOf("j8bt06nyq");
    await userEvent.click(within(row).getByRole("button", { name: /^Controls of/ }));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Rescue…" }));
    const dialog = await screen.findByRole("dialog");
    expect(await within(dialog).findByText("not possible: the template is gone")).toBeInTheDocument();
    expect(within(dialog).getByRole("button", { name: "Rescue" })).toBeDisabled();
  });

  it("acts on a selection, in parts that the server takes", async () => {
    const rows = Array.from({ length: 150 }, () => flowRow({ status: "running" }));
    const calls = stubApi({
      flow: listing(rows),
      "flow/totals": TOTALS,
      "POST runs/actions": (call: Call) => ({
        summary: "some",
        items: (call.body?.["run_keys"] as number[]).map((key) => ({ key, name: `run ${key}`, will: "be held", why_not: null })),
        done: 0,
      }),
    });
    open("/plugin/owl/flow");
    // By text and label: to ask for roles among so many cells takes seconds.
    await screen.findByText(rows[0]?.dataset ?? "");
    await userEvent.click(screen.getByLabelText("Select all rows of this page"));
    const bar = screen.getByLabelText("Actions on the selection");
    expect(within(bar).getByText("150 selected")).toBeInTheDocument();
    await userEvent.click(within(bar).getByText("Hold…"));
    expect(await screen.findByText("150 of 150 would be changed")).toBeInTheDocument();
    const sizes = calls.filter((call) => call.method === "POST").map((call) => (call.body?.["run_keys"] as number[]).length);
    expect(sizes).toEqual([100, 50]);
  });

  it("acts on everything that fits the filter, on all pages", async () => {
    const first = flowRow({ dataset: "first", status: "failed" });
    const second = flowRow({ dataset: "second", status: "failed" });
    const calls = stubApi({
      flow: (call: Call) => (call.query.get("cursor") ? listing([second]) : listing([first], "c2")),
      "flow/totals": TOTALS,
      "POST runs/actions": { summary: "2 runs", items: [{ key: 1, name: "a", will: "be held", why_not: null }], done: 0 },
    });
    open("/plugin/owl/flow?status=failed");
    await rowOf("first");
    await userEvent.click(screen.getByRole("checkbox", { name: "Select all rows of this page" }));
    const bar = screen.getByRole("toolbar", { name: "Actions on the selection" });
    await userEvent.click(within(bar).getByRole("button", { name: "Select all that fit the filter" }));
    await userEvent.click(within(bar).getByRole("button", { name: "Rescue…" }));
    await screen.findByText("2 runs");
    const body = calls.find((call) => call.method === "POST")?.body;
    expect(body).toMatchObject({ action: "rescue", run_keys: [first.run_key, second.run_key], dry_run: true });
    expect(flowCalls(calls).at(-1)?.query.get("status")).toBe("failed");
  });

  it("has no write controls for a viewer", async () => {
    stubApi({ me: VIEWER, flow: listing([FAILED]), "flow/totals": { status: {}, workflow: {}, instrument: {} } });
    open("/plugin/owl/flow");
    const row = await rowOf("j8bt06nyq");
    await screen.findByText(/You may look, not change/);
    expect(screen.queryByRole("checkbox", { name: /Select/ })).toBeNull();
    await userEvent.click(within(row).getByRole("button", { name: /^Controls of/ }));
    const menu = await screen.findByRole("menu", { name: /^Controls of/ });
    expect(within(menu).getByRole("menuitem", { name: "Open the run" })).toBeVisible();
    expect(within(menu).queryByRole("menuitem", { name: /Rescue|Hold|Remove|Release|priority/ })).toBeNull();
  });

  it("shows an error with its kind and message, and tries again", async () => {
    let fail = true;
    stubApi({
      "flow/totals": { status: {}, workflow: {}, instrument: {} },
      flow: () =>
        fail
          ? new Status(422, { detail: { kind: "bad_field", message: "sort 'x' must be one of created, dataset." } })
          : listing([FAILED]),
    });
    open("/plugin/owl/flow?sort=x");
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("bad field");
    expect(alert).toHaveTextContent("sort 'x' must be one of created, dataset.");
    fail = false;
    await userEvent.click(within(alert).getByRole("button", { name: "Try again" }));
    await rowOf("j8bt06nyq");
  });

  it("says what to do when nothing fits", async () => {
    stubApi({ flow: listing([]), "flow/totals": { status: {}, workflow: {}, instrument: {} } });
    open("/plugin/owl/flow?search=zzz");
    expect(await screen.findByText("No dataset fits")).toBeInTheDocument();
    await userEvent.click(screen.getByRole("button", { name: "Clear filters" }));
    expect(screen.getByRole("searchbox", { name: "Dataset begins with" })).toHaveValue("");
  });

  it("goes to the next page by its cursor and back", async () => {
    stubApi({
      "flow/totals": { status: {}, workflow: {}, instrument: {} },
      flow: (call: Call) =>
        call.query.get("cursor") === "c2" ? listing([flowRow({ dataset: "second" })]) : listing([FAILED], "c2"),
    });
    const { router } = open("/plugin/owl/flow");
    await rowOf("j8bt06nyq");
    await userEvent.click(screen.getByRole("button", { name: "Next" }));
    await rowOf("second");
    expect(router.state.location.search).toBe("?cursor=c2&page=2");
    expect(screen.getByRole("button", { name: "Next" })).toBeDisabled();
    await userEvent.click(screen.getByRole("button", { name: "Previous" }));
    await rowOf("j8bt06nyq");
    expect(router.state.location.search).toBe("");
  });
});
