import "@testing-library/jest-dom/vitest";

import { cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";

import { queryClient } from "../src/api/queries";

// What waits for an answer waits longer on a machine that is busy.
configure({ asyncUtilTimeout: 8_000 });

afterEach(() => {
  cleanup();
  queryClient.clear();
  window.localStorage.clear();
  vi.unstubAllGlobals();
});

// happy-dom does no layout; the menus' machines scroll to what they highlight.
Element.prototype.scrollIntoView ??= () => undefined;
