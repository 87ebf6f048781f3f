import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";

import type { AlertRow } from "../src/api/types";
import { aboutOf } from "../src/pages/alerts/about";
import { listing, open, OPERATOR, stubApi, VIEWER, type Call } from "./site";

const AT = "2026-03-04T12:00:00Z";

function alert(fields: Partial<AlertRow> = {}): AlertRow {
  return {
    id: 7, rule: "dataset_failed", subject: "CA|node_failed|f1", state: "open", severity: "error",
    title: "412 datasets failed in CA (node_failed)", count: 412, most: 412, detail: { message: "dark.fits is damaged" },
    dags: ["acs"], partly: false, opened_at: AT, closed_at: null, told_at: AT, acked_by: null, acked_at: null, ack_reason: null,
    channels: [
      { channel: "chat", why: "opened", state: "sent", tries: 1, due_at: AT, sent_at: AT, error: null },
      { channel: "mail", why: "opened", state: "due", tries: 3, due_at: AT, sent_at: null, error: "451 try again later" },
    ],
    ...fields,
  };
}

const TOTALS = { open: 3, unacknowledged: 2, worst: "critical", severity: { critical: 1, error: 1 } };
const messages = [{ ...alert().channels[1], id: 1 }];

function site(me = OPERATOR, rows = [alert()], more: Record<string, unknown> = {}): Call[] {
  return stubApi({
    me,
    alerts: listing(rows),
    "alerts/7": { ...alert(), messages },
    "alerts/totals": TOTALS,
    "POST alerts/actions": (call: Call) => ({
      summary: "1 of 1 alerts",
      items: [{ key: 7, name: "412 datasets failed", will: "is acknowledged", why_not: null }],
      done: call.body?.["dry_run"] ? 0 : 1,
    }),
    errors: { rows: [] },
    ...more,
  });
}

describe("the alerts", () => {
  it("say what is wrong, who was told and who was not, and lead to the cause", async () => {
    const calls = site();
    const { router } = open("/plugin/owl/alerts");
    expect(await screen.findByText("412 datasets failed in CA (node_failed)")).toBeVisible();
    expect(calls.find((call) => call.path === "alerts")?.query.get("state")).toBe("open");
    expect(screen.getByText("chat: told")).toBeVisible();
    expect(screen.getByText("mail: down")).toHaveAttribute("title", expect.stringContaining("451 try again later"));
    await userEvent.click(screen.getByRole("button", { name: /^Messages of alert 7/ }));
    expect(await screen.findByText("dark.fits is damaged")).toBeVisible();
    expect(await screen.findByRole("table", { name: "Messages of alert 7" })).toHaveTextContent("451 try again later");
    await userEvent.click(screen.getByRole("link", { name: "its cause of alert 7" }));
    expect(router.state.location.pathname).toBe("/plugin/owl/errors");
    const asked = calls.filter((call) => call.path === "errors").at(-1)?.query;
    expect([asked?.get("node"), asked?.get("error"), asked?.get("fingerprint")]).toEqual(["CA", "node_failed", "f1"]);
  });

  it("are acknowledged with a reason, after what it means was shown", async () => {
    const calls = site();
    open("/plugin/owl/alerts");
    await userEvent.click(await screen.findByRole("button", { name: /^Acknowledge alert 7/ }));
    const dialog = await screen.findByRole("dialog");
    await within(dialog).findByText("is acknowledged");
    expect(within(dialog).getByRole("button", { name: "Acknowledge" })).toBeDisabled();
    await userEvent.type(within(dialog).getByRole("textbox"), "a new dark comes");
    await userEvent.click(within(dialog).getByRole("button", { name: "Acknowledge" }));
    await screen.findByRole("heading", { name: /: done$/ });
    const written = calls.filter((call) => call.method === "POST").at(-1)?.body;
    expect(written).toEqual({ action: "ack", ids: [7], reason: "a new dark comes", dry_run: false });
  });

  it("that are closed come on demand, and one is shown by its number", async () => {
    const calls = site();
    open("/plugin/owl/alerts?id=7");
    await screen.findByText("412 datasets failed in CA (node_failed)");
    expect(calls.find((call) => call.path === "alerts")?.query.get("id")).toBe("7");
    await userEvent.selectOptions(screen.getByRole("combobox", { name: "State" }), "all");
    await screen.findByText("412 datasets failed in CA (node_failed)");
    expect(calls.filter((call) => call.path === "alerts").at(-1)?.query.get("state")).toBe("all");
  });

  it("have no button once somebody takes care", async () => {
    site(OPERATOR, [alert({ acked_by: "ada", acked_at: AT, ack_reason: "on it" })]);
    open("/plugin/owl/alerts");
    expect(await screen.findByText("ada: on it")).toBeVisible();
    expect(screen.queryByRole("button", { name: /^Acknowledge/ })).toBeNull();
  });

  it("have no button for a viewer", async () => {
    const calls = site(VIEWER);
    open("/plugin/owl/alerts");
    await screen.findByText("412 datasets failed in CA (node_failed)");
    await screen.findByText(/You may look, not change/);
    expect(screen.queryByRole("button", { name: /Acknowledge/ })).toBeNull();
    await userEvent.click(screen.getByRole("button", { name: /^Controls of alert 7/ }));
    expect(await screen.findByRole("menuitem", { name: "Look at its cause" })).toBeVisible();
    expect(screen.queryByRole("menuitem", { name: /Acknowledge/ })).toBeNull();
    expect(document.querySelector("input[aria-label^='Select']")).toBeNull();
    expect(calls.filter((call) => call.method === "POST")).toEqual([]);
  });
});

describe("the number of alerts", () => {
  it("is on the tab of every page, in the colour of the worst, with words", async () => {
    site();
    open("/plugin/owl/errors");
    const tab = await screen.findByRole("link", { name: /^Alerts/ });
    const words = "2 open alerts, not acknowledged; the worst is critical";
    expect(await within(tab).findByText(words)).toBeInTheDocument();
    expect(within(tab).getByText("2")).toBeVisible();
    expect(tab.querySelector(".owl-badge")).toHaveClass("owl-badge-red", "owl-alarm");
  });

  it("is not there when there is nothing to do", async () => {
    site(OPERATOR, [], { "alerts/totals": { ...TOTALS, unacknowledged: 0, worst: null, severity: {} } });
    open("/plugin/owl/alerts");
    await screen.findByText("No alert fits");
    expect(screen.getByRole("link", { name: "Alerts" }).querySelector(".owl-badge")).toBeNull();
  });

  it("is on the dashboard's card", async () => {
    site(OPERATOR, [], {
      "flow/totals": { status: { failed: 3 }, workflow: {}, instrument: {} },
      "alerts/totals": { ...TOTALS, unacknowledged: 1, worst: "warning" },
    });
    open("/", "OWL card");
    const line = await screen.findByRole("link", { name: "1 open alert, not acknowledged; the worst is warning" });
    expect(line).toHaveAttribute("href", "/plugin/owl/alerts");
  });
});

describe("what an alert is about", () => {
  it.each([
    ["dataset_failed", "|launch_failed|", "/plugin/owl/errors?error=launch_failed"],
    ["dataset_slow", "acs", "/plugin/owl/flow?workflow=acs&status=launching&status=running&status=rescued&sort=created"],
    ["poller_stale", "DP_ACS", "/plugin/owl/pollers"],
    ["backlog", "acs", "/plugin/owl/queue?type=acs&state=waiting"],
    ["campaign_done", "dark 26", "/plugin/owl/campaigns?name=dark%2026"],
    ["pool_empty", "pool", "/plugin/owl/pool"],
    ["daemon_silent", "mirror", "/plugin/owl/pool?view=health"],
  ])("%s of %s is at %s", (rule, subject, to) => {
    expect(aboutOf({ rule, subject })?.to).toBe(to);
  });

  it("is not known of a rule that is not known", () => {
    expect(aboutOf({ rule: "other", subject: "x" })).toBeNull();
  });
});
