/** The dialog of actions: what is typed, what goes on, what is left. */

import { cleanup, fireEvent, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { leave } from "../src/api/client";
import { flowRow, listing, open, OPERATOR, Status, stubApi, typeWithoutPause, type Call } from "./site";

const TOTALS = { status: {}, workflow: {}, instrument: {} };
const GONE = new TypeError("Failed to fetch");

const told = (call: Call) => {
  const keys = call.body?.["run_keys"] as number[];
  const dry = call.body?.["dry_run"] === true;
  return {
    summary: `${keys.length} runs ${dry ? "would be" : "are"} changed`,
    items: keys.map((key) => ({ key, name: `run ${key}`, will: "be changed", why_not: null })),
    done: dry ? 0 : keys.length,
  };
};
const posts = (calls: Call[], dryRun: boolean): Call[] =>
  calls.filter((call) => call.method === "POST" && call.body?.["dry_run"] === dryRun);

async function choose(action: string, rows = [flowRow({ dataset: "j8bt06nyq", status: "running" })], answer: unknown = told) {
  const calls = stubApi({ flow: listing(rows), "flow/totals": TOTALS, "POST runs/actions": answer });
  open("/plugin/owl/flow");
  await screen.findByText(rows[0]?.dataset ?? "");
  if (rows.length > 1) {
    await userEvent.click(screen.getByLabelText("Select all rows of this page"));
    await userEvent.click(within(screen.getByLabelText("Actions on the selection")).getByText(`${action}…`));
  } else {
    await userEvent.click(screen.getByRole("button", { name: /^Controls of/ }));
    await userEvent.click(await screen.findByRole("menuitem", { name: `${action}…` }));
  }
  return { calls, dialog: await screen.findByRole("dialog") };
}

const confirm = (dialog: HTMLElement, name: string) => within(dialog).getByRole("button", { name });

describe("a number", () => {
  it("that is typed is the one that is sent, however fast the click is", async () => {
    const { calls, dialog } = await choose("Change priority");
    await within(dialog).findByText("be changed");
    const field = within(dialog).getByRole("spinbutton");
    const button = confirm(dialog, "Change priority");
    await waitFor(() => expect(button).toBeEnabled());
    // All at once: after a pause its preview is asked for, and may be there before the click.
    fireEvent.change(field, { target: { value: "77" } });
    expect(button).toBeDisabled();
    fireEvent.blur(field);
    fireEvent.click(button);
    await waitFor(() => expect(button).toBeEnabled());
    await userEvent.click(button);
    await within(dialog).findByText("1 runs are changed");
    expect(posts(calls, false).map((call) => call.body?.["priority"])).toEqual([77]);
  });

  it.each(["1.5", "", "10001"])("like %j cannot be sent", async (text) => {
    const { calls, dialog } = await choose("Change priority");
    await within(dialog).findByText("be changed");
    const field = within(dialog).getByRole("spinbutton");
    await userEvent.clear(field);
    if (text) await userEvent.type(field, text);
    await userEvent.tab();
    expect(field).toHaveAttribute("aria-invalid", "true");
    expect(confirm(dialog, "Change priority")).toBeDisabled();
    expect(posts(calls, false)).toEqual([]);
  });
});

it("asks for the node to begin with before it asks the server", async () => {
  const { calls, dialog } = await choose("Retry from a node", [
    flowRow({ dataset: "a", status: "failed" }), flowRow({ dataset: "b", status: "failed" }),
  ]);
  expect(within(dialog).queryByRole("alert")).toBeNull();
  expect(within(dialog).getByText(/Type the node's name/)).toBeVisible();
  expect(confirm(dialog, "Retry")).toBeDisabled();
  typeWithoutPause(within(dialog).getAllByRole("textbox")[0] as HTMLElement, "CA");
  await within(dialog).findByText("2 runs would be changed");
  expect(posts(calls, true).map((call) => call.body?.["node"])).toEqual(["CA"]);
});

describe("a bulk", () => {
  const rows = Array.from({ length: 60 }, () => flowRow({ status: "running" }));

  it("cannot be closed away while it runs, and stops when it is told to", async () => {
    let release: (() => void) | undefined;
    const { calls, dialog } = await choose("Hold", rows, async (call: Call) => {
      if (call.body?.["dry_run"] === false) await new Promise<void>((done) => { release = done; });
      return told(call);
    });
    await within(dialog).findByText("60 runs would be changed");
    await userEvent.click(confirm(dialog, "Hold"));
    await within(dialog).findByText(/It runs as long as this is open/);
    await userEvent.keyboard("{Escape}");
    expect(screen.getByRole("dialog")).toBeVisible();
    await userEvent.click(confirm(dialog, "Stop after this part"));
    release?.();
    expect(await within(dialog).findByText(/: done, not finished$/)).toBeVisible();
    expect(within(dialog).getByText(/It was stopped.* 35 are left/)).toBeVisible();
    expect(posts(calls, false)).toHaveLength(1);
    await userEvent.click(confirm(dialog, "Show what is left"));
    await within(dialog).findByText("35 runs would be changed");
  });

  it("whose server goes away says what is in doubt, and looks again", async () => {
    let gone = true;
    const { calls, dialog } = await choose("Hold", rows, (call: Call) => {
      const second = (call.body?.["run_keys"] as number[]).includes(rows[30]?.run_key ?? 0);
      return gone && second && call.body?.["dry_run"] === false ? GONE : told(call);
    });
    await within(dialog).findByText("60 runs would be changed");
    await userEvent.type(within(dialog).getByRole("textbox"), "night");
    await userEvent.click(confirm(dialog, "Hold"));
    expect(await within(dialog).findByText(/: 25 of 50 done, not finished$/)).toBeVisible();
    expect(within(dialog).getByRole("alert")).toHaveTextContent(/it is not known whether this was done.*35 are left/);
    gone = false;
    await userEvent.click(confirm(dialog, "Show what is left"));
    await within(dialog).findByText("35 runs would be changed");
    expect(within(dialog).getByRole("textbox")).toHaveValue("night");
    await userEvent.click(confirm(dialog, "Hold"));
    await within(dialog).findByText("35 of 35 asked for");
    const sent = posts(calls, false).flatMap((call) => call.body?.["run_keys"] as number[]);
    expect(new Set(sent).size).toBe(60);
  });
});

it("does not call it done when nothing was", async () => {
  const { dialog } = await choose("Hold", undefined, (call: Call) => {
    const dry = call.body?.["dry_run"] === true;
    return { summary: "hold", items: [{ key: 1, name: "j8bt06nyq", will: "be held", why_not: dry ? null : "it is done" }], done: 0 };
  });
  await within(dialog).findByText("be held");
  await userEvent.click(confirm(dialog, "Hold"));
  expect(await within(dialog).findByText(/: nothing was done$/)).toBeVisible();
});

const CAMPAIGN = { name: "flats", type: "acs", state: "running", priority: 0, total: 3, open: 0, done: 0, failed: 3, source: "list", reason: null, created_by: "op", approved_by: null, created_at: null };

it("does not offer to rescue a campaign's runs to those who may not operate them", async () => {
  stubApi({ me: { ...OPERATOR, can: { ...OPERATOR.can, operate: false } }, campaigns: listing([CAMPAIGN]) });
  open("/plugin/owl/campaigns");
  await userEvent.click(await screen.findByRole("button", { name: /^Controls of/ }));
  expect(await screen.findByRole("menuitem", { name: "Pause…" })).toBeVisible();
  expect(screen.queryByRole("menuitem", { name: "Retry what failed…" })).toBeNull();
});

it("goes on with what the server finds by itself until there is no more", async () => {
  const part = (call: Call) => {
    const after = call.body?.["after"];
    const item = { key: String(after ?? "first"), name: `run ${after ?? "first"}`, will: "run again", why_not: null };
    return { summary: "1 of 1", items: [item], done: call.body?.["dry_run"] ? 0 : 1, next: after === "p2" ? null : after === "p1" ? "p2" : "p1" };
  };
  const calls = stubApi({
    campaigns: listing([CAMPAIGN]),
    "campaigns/flats": { ...CAMPAIGN, ended: 3, counts: { failed: 3 }, rate_per_hour: null, eta_s: 0, last_ended_at: null, failures: [] },
    "POST campaigns/flats/actions": part,
  });
  open("/plugin/owl/campaigns");
  await userEvent.click(await screen.findByRole("button", { name: /^Controls of/ }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Retry what failed…" }));
  const dialog = await screen.findByRole("dialog");
  await within(dialog).findByText("3 of 3 would be changed");
  await userEvent.click(confirm(dialog, "Retry"));
  await within(dialog).findByText("3 of 3 asked for");
  expect(posts(calls, false).map((call) => call.body?.["after"])).toEqual([undefined, "p1", "p2"]);
});

describe("a login that ends while somebody types", () => {
  const to = leave.to;
  beforeEach(() => {
    leave.to = vi.fn();
  });
  afterEach(() => {
    leave.to = to;
  });

  it("is said in place, and nothing that was typed is lost", async () => {
    let over = false;
    const { calls, dialog } = await choose("Hold", undefined, (call: Call) => (over ? new Status(401, null) : told(call)));
    await within(dialog).findByText("be changed");
    await userEvent.type(within(dialog).getByRole("textbox"), "new dark");
    over = true;
    await userEvent.click(confirm(dialog, "Hold"));
    const alert = await within(dialog).findByRole("alert");
    expect(within(alert).getByRole("link", { name: "Log in (new tab)" })).toHaveAttribute("target", "_blank");
    expect(leave.to).not.toHaveBeenCalled();
    over = false;
    await userEvent.click(within(alert).getByRole("button", { name: /^Look again/ }));
    await within(dialog).findByText("be changed");
    await userEvent.click(confirm(dialog, "Hold"));
    await within(dialog).findByText("1 runs are changed");
    expect(posts(calls, false).at(-1)?.body?.["reason"]).toBe("new dark");
  });
});

it("says its outcome, and what goes on behind it only when it is closed", async () => {
  let totals = TOTALS as Record<string, unknown>;
  const rows = [flowRow({ dataset: "j8bt06nyq", status: "running" })];
  stubApi({ flow: listing(rows), "flow/totals": () => totals, "POST runs/actions": told });
  open("/plugin/owl/flow");
  await userEvent.click(await screen.findByRole("button", { name: /^Controls of/ }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Hold…" }));
  const dialog = await screen.findByRole("dialog");
  await within(dialog).findByText("1 runs would be changed");
  totals = { ...TOTALS, status: { held: 1 } };
  await userEvent.click(confirm(dialog, "Hold"));
  await screen.findByTitle("Show only held");
  const said = dialog.querySelector("[data-announcer]");
  expect(said).toHaveTextContent("1 runs are changed");
  const page = document.querySelector(".owl-console [data-announcer]");
  expect(page).toHaveTextContent(/^$/);
  await userEvent.click(within(dialog).getByRole("button", { name: "Close" }));
  await waitFor(() => expect(page).toHaveTextContent("Now 1 held."));
});

describe("the keyboard, when the dialog is closed,", () => {
  async function close(dialog: HTMLElement) {
    await userEvent.keyboard("{Escape}");
    await waitFor(() => expect(dialog).not.toBeInTheDocument());
  }

  it("has a place in the page if the button that opened it is gone", async () => {
    const { dialog } = await choose("Hold");
    // It goes at the moment in which it gets the focus back.
    const gone = ({ target }: FocusEvent) => {
      const button = target as HTMLElement;
      if (!button.matches("[data-focus-home]") && !dialog.contains(button)) button.blur();
    };
    document.addEventListener("focusin", gone);
    await close(dialog);
    await waitFor(() => expect(document.querySelector("[data-focus-home]")).toHaveFocus());
    document.removeEventListener("focusin", gone);
  });

  it("is left alone in the page that comes next", async () => {
    const { dialog } = await choose("Hold");
    await close(dialog);
    cleanup();
    const other = document.body.appendChild(document.createElement("div"));
    other.tabIndex = -1;
    other.dataset["focusHome"] = "";
    await new Promise((later) => setTimeout(later, 700));
    expect(other).not.toHaveFocus();
    other.remove();
  });
});
