import "@testing-library/jest-dom/vitest";

import { cleanup } from "@testing-library/react";
import { afterEach, vi } from "vitest";

import { queryClient } from "../src/api/queries";

afterEach(() => {
  cleanup();
  queryClient.clear();
  window.localStorage.clear();
  vi.unstubAllGlobals();
});

// happy-dom does no layout; the menus' machines scroll to what they highlight.
Element.prototype.scrollIntoView ??= () => undefined;
