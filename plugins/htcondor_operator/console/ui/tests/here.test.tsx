/** A page that is being left does not call its reader back. */

import { act, render, screen } from "@testing-library/react";
import { useLayoutEffect, type ReactNode } from "react";
import { RouterProvider, createBrowserRouter } from "react-router-dom";
import { afterEach, describe, expect, it, vi } from "vitest";

import { GoOn } from "../src/lib/here";

const NEXT = "/dags";

/** A link is followed just before the effects of its children: the next page is not drawn yet. */
function Left({ children }: { children: ReactNode }) {
  useLayoutEffect(() => window.history.pushState(null, "", NEXT), []);
  return children;
}

/** Show an element at a place; return the places that the router went to. */
function show(element: ReactNode, place: string): string[] {
  window.history.replaceState(null, "", place);
  const router = createBrowserRouter([{ path: "*", element }]);
  const places: string[] = [];
  router.subscribe(({ location }) => void places.push(location.pathname));
  render(<RouterProvider router={router} />);
  return places;
}

/** The bundle, just loaded: only its first mount settles. */
async function freshFrame() {
  vi.resetModules();
  return (await import("../src/shell/Frame")).Settled;
}

afterEach(() => void vi.useRealTimers());

describe("a page that goes on by itself", () => {
  it("does so while it is the one in the address", () => {
    expect(show(<GoOn to="/plugin/owl/flow" />, "/plugin/owl")).toEqual(["/plugin/owl/flow"]);
    expect(window.location.pathname).toBe("/plugin/owl/flow");
  });

  it("does not once another one is", () => {
    const element = (
      <Left>
        <GoOn to="/plugin/owl/flow" />
      </Left>
    );
    expect(show(element, "/plugin/owl")).toEqual([]);
    expect(window.location.pathname).toBe(NEXT);
  });
});

describe("the first mount", () => {
  it("makes the host render again where it is, with all that is in the address", async () => {
    const Settled = await freshFrame();
    const places = show(<Settled>here</Settled>, "/home?a=b#c");
    await act(async () => Promise.resolve());
    expect(places).toContain("/home");
    expect(window.location.href).toMatch(/\/home\?a=b#c$/);
  });

  it("leaves it to the next page when a link was followed before", async () => {
    const Settled = await freshFrame();
    const element = (
      <Left>
        <Settled>here</Settled>
      </Left>
    );
    expect(show(element, "/home")).toEqual([]);
    expect(window.location.pathname).toBe(NEXT);

    const next = show(<Settled>next</Settled>, NEXT);
    expect(await screen.findByText("next")).toBeVisible();
    expect(next).toContain(NEXT);
  });

  it("shows nothing before the host has rendered again, however long that takes", async () => {
    const Settled = await freshFrame();
    let go = (): void => undefined;
    const late = new Promise<null>((resolve) => (go = () => resolve(null)));
    window.history.replaceState(null, "", "/plugin/owl/queue");
    const element = <Settled>here</Settled>;
    // As the host's: its loader is asked again when a page is replaced by itself.
    const router = createBrowserRouter([{ path: "*", element, loader: () => late }], {
      hydrationData: { loaderData: { "0": null } },
    });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    render(<RouterProvider router={router} />);
    act(() => void vi.advanceTimersByTime(5_000));
    expect(screen.queryByText("here")).toBeNull();
    vi.useRealTimers();
    act(() => go());
    expect(await screen.findByText("here")).toBeVisible();
  });
});
