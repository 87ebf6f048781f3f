import { act, fireEvent, renderHook, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";

import type { FlowRow } from "../src/api/types";
import { remember } from "../src/lib/storage";
import { FLOW_COLUMNS } from "../src/pages/flow/columns";
import { heldWords } from "../src/table/HeldNotice";
import { IDLE_MS, mergeHeld, useEngaged, type Held } from "../src/table/held";
import { itemsOf, nextRow, piecesOf } from "../src/table/items";
import { PLAIN_MOST } from "../src/table/useDrawn";
import { LAYOUT } from "./setup";
import { flowRow, listing, open, stubApi, type Call } from "./site";

const SHOWN = new Set(["dataset", "progress"]);
const TOTALS = { status: {}, workflow: {}, instrument: {} };

function rowsOf(count: number): FlowRow[] {
  return Array.from({ length: count }, (_, at) =>
    flowRow({ run_key: at + 1, dataset: `d${String(at + 1).padStart(4, "0")}`, nodes_done: 1 }),
  );
}

let lists = 0;

/** Show a list whose rows a test may change; each is a place of its own, with its own scrolling. */
async function list(rows: FlowRow[], place = `flow?campaign=c${lists++}`, more: object = {}) {
  const site = { rows, calls: [] as Call[] };
  // A few columns: so many cells take seconds here.
  const hidden = FLOW_COLUMNS.map((column) => column.id).filter((id) => !SHOWN.has(id));
  remember("columns.flow", { order: FLOW_COLUMNS.map((column) => column.id), hidden });
  site.calls = stubApi({
    flow: () => listing(site.rows),
    "flow/totals": TOTALS,
    "runs/1": { run: rows[0], attempts: [], nodes: [], graph: null, actions: [] },
    ...more,
  });
  const view = open(`/plugin/owl/${place}`);
  await screen.findByText(rows[0]?.dataset ?? "");
  return { site, ...view };
}

const scroller = (): HTMLElement => document.querySelector(".owl-scroll") as HTMLElement;
const drawn = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>("tr.owl-row")];
const names = (): string[] => drawn().map((row) => /d\d{4}/.exec(row.textContent ?? "")?.[0] ?? "");
const rowOf = (name: string): HTMLElement => screen.getByText(name).closest("tr") as HTMLElement;
const control = (name: string, which: string): HTMLElement =>
  rowOf(name).querySelector(`[data-control=${which}]`) as HTMLElement;
const height = (): number =>
  [...document.querySelectorAll<HTMLElement>(".owl-rows > tbody > tr")]
    .map((row) => (row.className === "owl-gap" ? parseFloat(row.style.height) : row.offsetHeight))
    .reduce((sum, one) => sum + one, 0);

function scrollTo(top: number): void {
  scroller().scrollTop = top;
}

const refreshNow = (): void => void fireEvent.click(screen.getByLabelText("Refresh now"));
const pointAt = (element: HTMLElement, moved = 3): void =>
  void fireEvent(element, new MouseEvent("pointermove", { bubbles: true, movementX: moved } as MouseEventInit));

describe("a long list", () => {
  it("draws the rows in view, and tells how many there are", async () => {
    await list(rowsOf(500));
    expect(names().slice(0, 3)).toEqual(["d0001", "d0002", "d0003"]);
    const inView = Math.ceil(LAYOUT.view / LAYOUT.row);
    expect(drawn().length).toBeGreaterThanOrEqual(inView);
    expect(drawn().length).toBeLessThan(60);
    const table = screen.getByLabelText("Data flow");
    // The head is a row, too.
    expect(table).toHaveAttribute("aria-rowcount", "501");
    expect(rowOf("d0003")).toHaveAttribute("aria-rowindex", "4");
    expect(height()).toBe(500 * LAYOUT.row);
  });

  it("draws other rows when it is scrolled, at their places", async () => {
    await list(rowsOf(500));
    scrollTo(300 * LAYOUT.row);
    await screen.findByText("d0301");
    expect(screen.queryByText("d0001")).toBeNull();
    expect(rowOf("d0301")).toHaveAttribute("aria-rowindex", "302");
    expect(drawn().length).toBeLessThan(60);
    expect(height()).toBe(500 * LAYOUT.row);
  });

  it("shows what a refresh changed in the rows in view, and keeps the place", async () => {
    const { site } = await list(rowsOf(500));
    scrollTo(300 * LAYOUT.row);
    const row = (await screen.findByText("d0301")).closest("tr");
    expect(row).toHaveTextContent("1/8");
    site.rows = site.rows.map((one) => ({ ...one, nodes_done: 7 }));
    refreshNow();
    await waitFor(() => expect(drawn().every((one) => one.textContent?.includes("7/8"))).toBe(true));
    // The same elements: nothing that has the focus or a menu is lost.
    expect(rowOf("d0301")).toBe(row);
    expect(scroller().scrollTop).toBe(300 * LAYOUT.row);
  });

  it("goes by arrow keys to rows that were not drawn", async () => {
    await list(rowsOf(500));
    const last = names().at(-1) ?? "";
    act(() => control(last, "menu").focus());
    // The row in use stays, however far one scrolls; its neighbours do not.
    scrollTo(400 * LAYOUT.row);
    await screen.findByText("d0401");
    expect(document.activeElement).toBe(control(last, "menu"));
    const next = `d${String(Number(last.slice(1)) + 1).padStart(4, "0")}`;
    expect(screen.queryByText(next)).toBeNull();
    fireEvent.keyDown(document.activeElement as HTMLElement, { key: "ArrowDown" });
    await waitFor(() => expect(document.activeElement).toBe(control(next, "menu")));
    fireEvent.keyDown(document.activeElement as HTMLElement, { key: "ArrowUp" });
    expect(document.activeElement).toBe(control(last, "menu"));
  });

  it("selects a range over rows that are not drawn", async () => {
    await list(rowsOf(500));
    await userEvent.click(control("d0002", "select"));
    scrollTo(300 * LAYOUT.row);
    await screen.findByText("d0301");
    await userEvent.keyboard("{Shift>}");
    fireEvent.click(control("d0301", "select"), { shiftKey: true });
    const bar = screen.getByLabelText("Actions on the selection");
    expect(within(bar).getByText("300 selected")).toBeInTheDocument();
    expect(rowOf("d0300")).toHaveAttribute("aria-selected", "true");
  });

  it("gives details their own height, and arrows pass over them", async () => {
    await list(rowsOf(500));
    await userEvent.click(control("d0001", "expand"));
    await waitFor(() => expect(document.querySelector("tr.owl-detail")).not.toBeNull());
    await waitFor(() => expect(height()).toBe(500 * LAYOUT.row + LAYOUT.detail));
    expect(screen.getByLabelText("Data flow")).toHaveAttribute("aria-rowcount", "502");
    expect(rowOf("d0002")).toHaveAttribute("aria-rowindex", "4");
    act(() => control("d0001", "expand").focus());
    fireEvent.keyDown(document.activeElement as HTMLElement, { key: "ArrowDown" });
    expect(document.activeElement).toBe(control("d0002", "expand"));
  });

  it("begins another order at the top, and is found again where it was left", async () => {
    const { router } = await list(rowsOf(500), "flow?search=place");
    scrollTo(300 * LAYOUT.row);
    await screen.findByText("d0301");
    await act(() => router.navigate("/plugin/owl/flow?search=place&sort=dataset"));
    await screen.findByText("d0001");
    expect(scroller().scrollTop).toBe(0);
    await act(() => router.navigate("/plugin/owl/nowhere"));
    await screen.findByText(/There is no page/);
    await act(() => router.navigate("/plugin/owl/flow?search=place"));
    await screen.findByText("d0301");
    expect(scroller().scrollTop).toBe(300 * LAYOUT.row);
  });
});

describe("a short list", () => {
  it("is drawn whole", async () => {
    await list(rowsOf(PLAIN_MOST));
    expect(drawn()).toHaveLength(PLAIN_MOST);
    expect(document.querySelector(".owl-gap")).toBeNull();
    act(() => control("d0001", "menu").focus());
    fireEvent.keyDown(document.activeElement as HTMLElement, { key: "ArrowDown" });
    expect(document.activeElement).toBe(control("d0002", "menu"));
  });

  it("counts its rows in words", async () => {
    await list(rowsOf(1));
    expect(screen.getByText("page 1: 1 row")).toBeInTheDocument();
  });
});

describe("rows that come while somebody uses the list", () => {
  const NEW = flowRow({ run_key: 900, dataset: "d0900" });
  const newer = (rows: FlowRow[]): FlowRow[] => [NEW, ...rows.slice(0, -1).map((row) => ({ ...row, nodes_done: 5 }))];

  it("are told, not shown, under a pointer that moves; what is known of the others is", async () => {
    const { site } = await list(rowsOf(5));
    pointAt(rowOf("d0002"));
    site.rows = newer(site.rows);
    refreshNow();
    await screen.findByText("1 new run, 1 no longer here");
    expect(names()).toEqual(["d0001", "d0002", "d0003", "d0004", "d0005"]);
    expect(rowOf("d0001")).toHaveTextContent("5/8");
    expect(rowOf("d0005")).toHaveClass("owl-gone");
    expect(rowOf("d0004")).not.toHaveClass("owl-gone");
    await userEvent.click(screen.getByText("Show"));
    expect(names()).toEqual(["d0900", "d0001", "d0002", "d0003", "d0004"]);
    expect(screen.queryByText("Show")).toBeNull();
  });

  it("are shown when the pointer has left, and under one that only lies there", async () => {
    const { site } = await list(rowsOf(5));
    pointAt(rowOf("d0002"));
    site.rows = newer(site.rows);
    refreshNow();
    await screen.findByText("1 new run, 1 no longer here");
    // React makes its leave event of this one.
    fireEvent.pointerOut(scroller(), { pointerType: "mouse", relatedTarget: document.body });
    expect(names()[0]).toBe("d0900");
    pointAt(rowOf("d0002"), 0);
    site.rows = [flowRow({ run_key: 901, dataset: "d0901" }), ...site.rows];
    refreshNow();
    await waitFor(() => expect(names()[0]).toBe("d0901"));
  });

  it("wait while a menu is open, and while the list is scrolled", async () => {
    const { site } = await list(rowsOf(500));
    fireEvent.click(control("d0002", "menu"));
    await screen.findByRole("menu", { name: /^Controls of d0002/ });
    site.rows = newer(site.rows);
    refreshNow();
    await screen.findByText("1 new run, 1 no longer here");
    expect(names()[0]).toBe("d0001");
    scrollTo(100 * LAYOUT.row);
    await userEvent.keyboard("{Escape}");
    await waitFor(() => expect(screen.queryByRole("menu", { name: /^Controls of/ })).toBeNull());
    expect(screen.getByText("1 new run, 1 no longer here")).toBeInTheDocument();
    fireEvent.click(screen.getByText("Show"));
    await waitFor(() => expect(names()[0]).toBe("d0900"));
    expect(scroller().scrollTop).toBe(0);
  });

  it("are shown after an action of one's own", async () => {
    const answer = { summary: "so", items: [{ key: 1, name: "one", will: "be so", why_not: null }], done: 1 };
    const { site } = await list(rowsOf(5), "flow?campaign=own", { "POST runs/actions": answer });
    pointAt(rowOf("d0002"));
    fireEvent.click(control("d0002", "menu"));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Remove…" }));
    await screen.findByText("be so");
    site.rows = site.rows.filter((row) => row.dataset !== "d0002");
    await userEvent.click(screen.getByRole("button", { name: "Remove" }));
    await userEvent.click(await screen.findByRole("button", { name: "Close" }));
    await waitFor(() => expect(names()).toEqual(["d0001", "d0003", "d0004", "d0005"]));
  });

  it("do not wait for another filter", async () => {
    const { site, router } = await list(rowsOf(5));
    pointAt(rowOf("d0002"));
    site.rows = [NEW];
    await act(() => router.navigate("/plugin/owl/flow?search=d09"));
    await screen.findByText("d0900");
    expect(names()).toEqual(["d0900"]);
  });
});

describe("a pointer over the rows", () => {
  afterEach(() => void vi.useRealTimers());

  it("is nobody's when it has rested for long", () => {
    vi.useFakeTimers();
    const { result } = renderHook(() => useEngaged());
    act(() => result.current.watch.onPointerDown());
    expect(result.current.on).toBe(true);
    act(() => void vi.advanceTimersByTime(IDLE_MS - 1));
    expect(result.current.on).toBe(true);
    act(() => void vi.advanceTimersByTime(1));
    expect(result.current.on).toBe(false);
  });
});

describe("held rows", () => {
  const keyOf = (row: { id: number }): number => row.id;
  const row = (id: number, at = 0) => ({ id, at });

  it("stay in place with what is known now", () => {
    const held = mergeHeld([row(1), row(2), row(3)], [row(4, 1), row(3, 1), row(1, 1)], keyOf);
    expect(held.rows).toEqual([row(1, 1), row(2), row(3, 1)]);
    expect(held.fresh).toBe(1);
    expect([...held.gone]).toEqual([2]);
    expect(held.moved).toBe(true);
    expect(mergeHeld([row(1), row(2)], [row(9), row(1), row(2)], keyOf).moved).toBe(false);
  });

  it("are told in words", () => {
    const held = (fields: Partial<Held<object>>): Held<object> => ({ rows: [], fresh: 0, gone: new Set(), moved: false, ...fields });
    expect(heldWords(held({}), "entry")).toBe("");
    expect(heldWords(held({ fresh: 2 }), "entry")).toBe("2 new entries");
    expect(heldWords(held({ moved: true }), "entry")).toBe("the order has changed");
    expect(heldWords(held({ gone: new Set([1, 2]), moved: true }), "entry")).toBe("2 no longer here");
  });
});

describe("the pieces of a table's body", () => {
  const rows = [{ id: 1 }, { id: 2 }, { id: 3 }];
  const items = itemsOf(rows, (row) => row.id, new Set([2]));

  it("are rows and details", () => {
    expect(items.map((item) => item.id)).toEqual(["1", "2", "2 detail", "3"]);
    expect([nextRow(items, 1, 1), nextRow(items, 3, -1), nextRow(items, 0, -1), nextRow(items, 3, 1)]).toEqual([3, 1, -1, -1]);
  });

  it("leave gaps where nothing is drawn", () => {
    const drawn = [
      { index: 0, start: 0, end: 30 },
      { index: 7, start: 210, end: 240 },
      { index: 8, start: 240, end: 400 },
    ];
    expect(piecesOf(drawn, 500)).toEqual([
      { kind: "item", index: 0 },
      { kind: "gap", id: "gap 0", height: 180 },
      { kind: "item", index: 7 },
      { kind: "item", index: 8 },
      { kind: "gap", id: "gap 1", height: 100 },
    ]);
    expect(piecesOf([], 0)).toEqual([]);
  });
});
