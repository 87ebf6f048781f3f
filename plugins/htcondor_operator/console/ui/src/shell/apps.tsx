/** The entrances that plugin.py registers. */

import type { ReactNode } from "react";

import { NodeTab, RunTab } from "../pages/tabs/Tabs";
import { SummaryCard } from "../pages/tabs/SummaryCard";
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

function OwlDataset({ dagId = "", runId = "" }: HostProps) {
  return (
    <Frame>
      <RunTab dagId={dagId} runId={runId} />
    </Frame>
  );
}

function OwlNode({ dagId = "", runId = "", taskId = "" }: HostProps) {
  return (
    <Frame>
      <NodeTab dagId={dagId} runId={runId} taskId={taskId} />
    </Frame>
  );
}

function OwlCard() {
  return (
    <Frame fill={false}>
      <SummaryCard />
    </Frame>
  );
}

/** By the registered name, which is also the label. plugin.py has the same; a test compares. */
export const APPS: Record<string, (props: HostProps) => ReactNode> = {
  "OWL": OwlConsole,
  "OWL dataset": OwlDataset,
  "OWL node": OwlNode,
  "OWL card": OwlCard,
};
