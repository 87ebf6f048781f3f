import "@testing-library/jest-dom/vitest";

import { act, cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";

import { queryClient } from "../src/api/queries";

// What waits for an answer waits longer on a machine that is busy: any process may rest for seconds.
configure({ asyncUtilTimeout: 30_000 });

afterEach(() => {
  cleanup();
  queryClient.clear();
  window.localStorage.clear();
  vi.unstubAllGlobals();
});

// happy-dom does no layout; the menus' machines scroll to what they highlight.
Element.prototype.scrollIntoView ??= () => undefined;

/** happy-dom does no layout; tables draw what is in view, so rows and views have these heights. */
export const LAYOUT = { view: 310, head: 31, row: 31, detail: 200 };

function heightOf(element: Element): number {
  if (element.matches(".owl-scroll")) return LAYOUT.view;
  if (element.matches(".owl-row")) return LAYOUT.row;
  return element.matches(".owl-detail") ? LAYOUT.detail : 0;
}

for (const name of ["offsetHeight", "clientHeight"]) {
  Object.defineProperty(HTMLElement.prototype, name, {
    configurable: true,
    get(this: HTMLElement) {
      return heightOf(this);
    },
  });
}

Object.defineProperty(HTMLElement.prototype, "scrollHeight", {
  configurable: true,
  get(this: HTMLElement) {
    const rows = [...this.querySelectorAll<HTMLElement>(".owl-rows > tbody > tr")];
    return rows.reduce((sum, row) => sum + (parseFloat(row.style.height) || row.offsetHeight), LAYOUT.head);
  },
});

// It does not tell of scrolling either.
const scrollTop = Object.getOwnPropertyDescriptor(Element.prototype, "scrollTop");
Object.defineProperty(Element.prototype, "scrollTop", {
  configurable: true,
  get(this: Element): number {
    return scrollTop?.get?.call(this) as number;
  },
  set(this: Element, value: number) {
    scrollTop?.set?.call(this, value);
    queueMicrotask(() => act(() => void this.dispatchEvent(new Event("scroll"))));
  },
});
