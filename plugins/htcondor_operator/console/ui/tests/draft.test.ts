import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { useDraft } from "../src/lib/draft";

const PAUSE = 250;

/** A filter whose URL answers when it is told to: on a busy machine that is late. */
function filter(first = "") {
  const committed: string[] = [];
  const hook = renderHook(({ value }) => useDraft(value, (text) => committed.push(text), PAUSE), {
    initialProps: { value: first },
  });
  return {
    committed,
    type: (text: string) => act(() => hook.result.current[1](text)),
    pause: () => act(() => vi.advanceTimersByTime(PAUSE + 1)),
    url: (value: string) => hook.rerender({ value }),
    shown: () => hook.result.current[0],
  };
}

describe("what is typed into a filter", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is sent after a pause", () => {
    const { committed, type, pause } = filter();
    type("c");
    type("co");
    expect(committed).toEqual([]);
    pause();
    expect(committed).toEqual(["co"]);
  });

  it("stays when the URL comes back after the next letters were sent", () => {
    const { committed, type, pause, url, shown } = filter();
    type("conso");
    pause();
    type("consol");
    pause();
    type("console");
    url("conso");
    expect(shown()).toBe("console");
    url("consol");
    expect(shown()).toBe("console");
    pause();
    url("console");
    expect(shown()).toBe("console");
    expect(committed).toEqual(["conso", "consol", "console"]);
  });

  it("keeps a space at its end, which the URL has not", () => {
    const { type, pause, url, shown } = filter();
    type("M 3");
    pause();
    type("M 31 ");
    pause();
    url("M 31");
    expect(shown()).toBe("M 31 ");
  });

  it("is replaced by a saved view, also while letters are on their way", () => {
    const { type, pause, url, shown } = filter("old");
    type("conso");
    pause();
    url("saved");
    expect(shown()).toBe("saved");
    url("");
    expect(shown()).toBe("");
  });
});
