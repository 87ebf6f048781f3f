/** A page changes the address only while the address is its own. */

import { useCallback, useEffect, type ReactNode } from "react";
import { useHref, useLocation, useNavigate, type To } from "react-router-dom";

/**
 * Return whether this page is still the one in the address.
 *
 * After a link was followed the address is the next page's at once, this page is on the screen for
 * a moment more: what it still has to write would throw the operator back.
 */
export function useIsHere(): () => boolean {
  const here = useHref(useLocation().pathname);
  return useCallback(
    () => window.location.pathname === new URL(here, window.location.href).pathname,
    [here],
  );
}

/** Goes on to another place when it appears. */
export function GoOn({ to }: { to: To }): ReactNode {
  const isHere = useIsHere();
  const navigate = useNavigate();
  useEffect(() => {
    if (isHere()) void navigate(to, { replace: true });
    // Once, with the place of the first mount.
  }, []);
  return null;
}
