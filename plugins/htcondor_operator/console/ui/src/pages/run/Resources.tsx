/** What each try used: cpu, time, and peak memory against what was asked for. */

import { Box, HStack, Progress } from "@chakra-ui/react";

import type { NodeTry } from "../../api/types";
import { between, duration } from "../../lib/time";
import { EmptyNotice } from "../../parts/Notice";
import { SmallTable } from "../../parts/SmallTable";
import { ranFor } from "./spans";

const TIGHT = 90;

function Memory({ node }: { node: NodeTry }) {
  const { memory_peak_mb: peak, memory_request_mb: request } = node;
  // HTCondor does not measure a job that ends within seconds.
  if (peak === null) return request ? <>{`not measured, ${Math.round(request)} MB asked for`}</> : null;
  const words = `${Math.round(peak)} MB${request ? ` of ${Math.round(request)} MB asked for` : ""}`;
  if (!request) return <>{words}</>;
  const share = (100 * peak) / request;
  return (
    <HStack gap="2">
      <Progress.Root value={Math.min(100, share)} size="xs" width="8rem" aria-label={words}
        colorPalette={share > TIGHT ? "orange" : "blue"}>
        <Progress.Track>
          <Progress.Range />
        </Progress.Track>
      </Progress.Root>
      <Box>{words}</Box>
    </HStack>
  );
}

function busy(node: NodeTry): string {
  const wall = ranFor(node);
  if (node.cpu_s === null || !wall) return "";
  return `${Math.round((100 * node.cpu_s) / wall)} %`;
}

/** The table. */
export function Resources({ nodes }: { nodes: readonly NodeTry[] }) {
  const ran = nodes.filter((node) => node.started_at !== null && node.carried_from === null);
  return (
    <SmallTable
      label="Resources"
      rows={ran}
      keyOf={(node) => `${node.attempt} ${node.node} ${node.try}`}
      empty={<EmptyNotice title="Nothing has run yet" />}
      columns={[
        { label: "Node", width: 120, className: "owl-mono", cell: (node) => node.node },
        { label: "Attempt", width: 72, className: "owl-num", cell: (node) => node.attempt },
        { label: "Try", width: 48, className: "owl-num", cell: (node) => node.try },
        { label: "Waited", width: 90, className: "owl-num", cell: (node) => duration(between(node.submitted_at, node.started_at)) },
        { label: "Took", width: 100, className: "owl-num", cell: (node) => duration(ranFor(node)) },
        { label: "CPU", width: 100, className: "owl-num", cell: (node) => duration(node.cpu_s) },
        { label: "CPU / time", width: 84, className: "owl-num", cell: busy },
        { label: "Peak memory", width: 330, cell: (node) => <Memory node={node} /> },
        { label: "Host", width: 160, cell: (node) => node.host },
        { label: "Slot", cell: (node) => node.slot },
      ]}
    />
  );
}
