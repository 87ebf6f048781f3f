/** What every entrance of the console has: the queries, the styles, and the first mount's fix. */

import { Box } from "@chakra-ui/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";
import { useLocation, useNavigate } from "react-router-dom";

import { queryClient } from "../api/queries";
import { Announcer } from "../parts/Announcer";
import { keepFocus } from "../lib/focus";
import { useIsHere } from "../lib/here";
import { sheet } from "./styles";

let settled = false;
const LATE_MS = 10_000;

/**
 * Shows its children when the host has settled.
 *
 * The host (Airflow 3.3.2) renders a just loaded bundle as a lazy component, and as a plain one
 * from its next own rendering on: React mounts everything again, and typed text is lost. So the
 * first mount makes the host render again at once, with nothing in it that could be lost.
 */
export function Settled({ children }: { children: ReactNode }) {
  const [ready, setReady] = useState(settled);
  const navigate = useNavigate();
  const { pathname, search, hash, state, key } = useLocation();
  const [firstKey] = useState(key);
  const isHere = useIsHere();
  useEffect(() => {
    // Who has followed a link meanwhile must not be thrown back: the next page settles.
    if (settled || !isHere()) return;
    settled = true;
    void navigate({ pathname, search, hash }, { replace: true, state: state as unknown });
    // Not ready at once: what is opened before the host mounts again would vanish. The new mount
    // is ready from its beginning.
    const late = setTimeout(() => setReady(true), LATE_MS);
    return () => clearTimeout(late);
    // Once, with the place of the first mount.
  }, []);
  // The host has rendered again, and this mount is still there: no other comes.
  useEffect(() => {
    if (settled && key !== firstKey) setReady(true);
  }, [key, firstKey]);
  return ready ? <>{children}</> : null;
}

let first = true;

/** After a link has been followed Tab goes on in the new page, not at the host's first link. */
function useFocusOfNewPage(): void {
  useEffect(() => {
    if (!first) keepFocus();
    first = false;
  }, []);
}

/** The frame around a page, a tab or a card. */
export function Frame({ children, fill = true }: { children: ReactNode; fill?: boolean }) {
  useFocusOfNewPage();
  return (
    <QueryClientProvider client={queryClient}>
      <Box css={sheet} className="owl-console" tabIndex={-1} data-focus-home={fill || undefined} outline="none" height={fill ? "100%" : undefined} minH="0">
        <Announcer />
        <Settled>{children}</Settled>
      </Box>
    </QueryClientProvider>
  );
}
