import { describe, expect, it } from "vitest";

import { apiUrl } from "../src/api/client";
import { resolveTimes } from "../src/api/queries";
import { shareListing } from "../src/api/share";
import { age, bytes, duration, stamp } from "../src/lib/time";
import { withCone } from "../src/pages/archive/ArchivePage";
import { place } from "../src/pages/run/layout";
import { ranFor, spansOf } from "../src/pages/run/spans";
import type { NodeTry } from "../src/api/types";
import { moved, settle, tracks, type Column } from "../src/table/columns";

describe("times", () => {
  it.each([
    [45, "45 s"],
    [200, "3 min 20 s"],
    [7_500, "2 h 5 min"],
    [90_000, "1 d 1 h"],
  ])("%d seconds are %s", (seconds, words) => expect(duration(seconds)).toBe(words));
  it("are in UTC", () => expect(stamp("2026-03-04T12:34:56+02:00")).toBe("2026-03-04 10:34:56"));
  it("of ages change rarely", () => expect([age(3), age(64), age(7_300)]).toEqual(["0 s", "1 min", "2 h"]));
  it("that are relative are made when they are asked for", () =>
    expect(resolveTimes({ since: "-24h" }, Date.parse("2026-03-04T12:00:00Z"))).toEqual({ since: "2026-03-03T12:00:00.000Z" }));
});

it("says sizes", () => expect([bytes(900), bytes(33_400_000)]).toEqual(["900 B", "33.4 MB"]));

it("repeats a parameter for each of its values, and leaves out what is empty", () => {
  const url = new URL(apiUrl("flow", { status: ["failed", "held"], search: "", limit: 25 }));
  expect(url.search).toBe("?status=failed&status=held&limit=25");
});

describe("a refresh", () => {
  const keyOf = (row: { key: number }): number => row.key;
  const before = { rows: [{ key: 1, a: 1 }, { key: 2, a: 1 }], as_of: "x" };
  it("keeps rows that did not change, wherever they are now", () => {
    const after = shareListing(keyOf)(before, { rows: [{ key: 3, a: 1 }, { key: 1, a: 1 }, { key: 2, a: 9 }], as_of: "y" }) as typeof before;
    expect(after.rows[1]).toBe(before.rows[0]);
    expect(after.rows[2]).not.toBe(before.rows[1]);
  });
  it("is the same object when nothing changed", () =>
    expect(shareListing(keyOf)(before, structuredClone(before))).toBe(before));
});

describe("a choice of columns", () => {
  const columns = ["a", "b", "c"].map((id): Column<unknown> => ({ id, label: id, width: 1, hidden: id === "c", cell: () => null }));
  it("takes in columns that are new and forgets those that are gone", () =>
    expect(settle(columns, { order: ["b", "gone", "a"], hidden: ["a"] })).toEqual({ order: ["b", "a", "c"], hidden: ["a", "c"] }));
  it("moves a column", () => expect(moved(["a", "b", "c"], "c", -1)).toEqual(["a", "c", "b"]));
});

it("asks for a cone only when all of it is there", () => {
  expect(withCone({ ra: "1", dec: "2", target: "x" })).toEqual({ target: "x" });
  expect(withCone({ ra: "1", dec: "2", radius: "0.1" })).toEqual({ ra: "1", dec: "2", radius: "0.1" });
});

it("lays a graph out in layers", () => {
  const placed = place(["a", "b", "c"], [["a", "b"], ["a", "c"]]);
  const [a, b, c] = placed.nodes;
  expect(a!.left).toBeLessThan(b!.left);
  expect(b!.left).toBe(c!.left);
  expect(placed.edges).toHaveLength(2);
});

it("draws a carried node only where it ran, and a running one until now", () => {
  const node = (fields: Partial<NodeTry>): NodeTry => ({ node: "CA", attempt: 1, try: 0, state: "done", host: null, started_at: "2026-03-04T12:00:00Z", ended_at: null, submitted_at: null, carried_from: null, ...fields }) as NodeTry;
  const now = Date.parse("2026-03-04T12:05:00Z");
  const spans = spansOf([node({}), node({ attempt: 2, carried_from: 1 })], now);
  expect(spans).toHaveLength(1);
  expect(spans[0]).toMatchObject({ running: true, to: now });
});

it("draws each execution of a try that was held and released, and counts only those as work", () => {
  const node = {
    node: "C", attempt: 1, try: 0, state: "done", host: "m2", carried_from: null,
    submitted_at: "2026-03-04T07:24:00Z", started_at: "2026-03-04T07:25:00Z", ended_at: "2026-03-04T07:36:00Z",
    executions: [
      [0, "2026-03-04T07:25:00+00:00", "2026-03-04T07:27:00+00:00", "m1"],
      [0, "2026-03-04T07:34:00+00:00", "2026-03-04T07:36:00+00:00", "m2"],
    ],
  } as unknown as NodeTry;
  const spans = spansOf([node], 0);
  expect(spans.map((span) => [span.from, span.to, span.host])).toEqual([
    [Date.parse("2026-03-04T07:25:00Z"), Date.parse("2026-03-04T07:27:00Z"), "m1"],
    [Date.parse("2026-03-04T07:34:00Z"), Date.parse("2026-03-04T07:36:00Z"), "m2"],
  ]);
  expect(spans.map((span) => span.state)).toEqual(["interrupted", "done"]);
  expect(ranFor(node)).toBe(240);
});

describe("what is left over of a wide window", () => {
  const column = (id: string, width: number, grows?: boolean): Column<unknown> => ({ id, label: id, width, grows, cell: () => id });

  it("goes to the columns of sentences when the others have a little more", () =>
    expect(tracks([column("a", 100), column("why", 200, true)])).toEqual([
      "minmax(100px, 125px)", "minmax(200px, 200fr)",
    ]));

  it("goes to all alike where there is none", () =>
    expect(tracks([column("a", 100), column("b", 60)])).toEqual(["minmax(100px, 100fr)", "minmax(60px, 60fr)"]));
});
