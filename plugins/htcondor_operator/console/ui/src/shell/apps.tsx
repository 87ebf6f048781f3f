/** The entrances that plugin.py registers. */

import type { ReactNode } from "react";

import { Console } from "./Console";
import { Frame } from "./Frame";

/** What the host gives. */
export interface HostProps {
  dagId?: string;
  runId?: string;
  taskId?: string;
  mapIndex?: string;
}

function OwlConsole() {
  return (
    <Frame>
      <Console />
    </Frame>
  );
}

/** By the registered name, which is also the label. plugin.py has the same; a test compares. */
export const APPS: Record<string, (props: HostProps) => ReactNode> = {
  OWL: OwlConsole,
};
