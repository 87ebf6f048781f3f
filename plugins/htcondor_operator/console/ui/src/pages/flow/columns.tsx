/** The columns of the data flow. */

import { Link as RouterLink } from "react-router-dom";

import type { FlowRow } from "../../api/types";
import { airflowRun, campaignPath, runLogPath, runPath } from "../../lib/links";
import { lag, stamp } from "../../lib/time";
import { Age } from "../../parts/Age";
import { ExitCode } from "../../parts/ExitCode";
import { StateBadge } from "../../parts/StateBadge";
import type { Column } from "../../table/columns";

/** Why a run stands as it does, in one line. */
export function reasonOf(row: FlowRow): string {
  return row.hold_reason ?? row.error_message ?? "";
}

/** What went wrong leads to the log of the node in which it did. */
function Status({ row }: { row: FlowRow }) {
  const badge = <StateBadge state={row.status} title={reasonOf(row) || undefined} />;
  if (!row.node || !TROUBLE.has(row.status)) return badge;
  return (
    <RouterLink className="owl-link" to={runLogPath(row.run_key, row.node)}
      aria-label={`${row.status}: log of ${row.node} of ${row.dataset}`}>
      {badge}
    </RouterLink>
  );
}

const TROUBLE: ReadonlySet<string> = new Set(["failed", "held"]);

const progress = (row: FlowRow): string =>
  row.nodes_total ? `${row.nodes_done ?? 0}/${row.nodes_total}` : "";

export const FLOW_COLUMNS: Column<FlowRow>[] = [
  {
    id: "dataset",
    label: "Fileset",
    width: 130,
    sort: "dataset",
    fixed: true,
    className: "owl-mono",
    cell: (row) => (
      <RouterLink className="owl-link" to={runPath(row.run_key)}>
        {row.dataset}
      </RouterLink>
    ),
  },
  { id: "workflow", label: "Workflow", width: 150, sort: "workflow", cell: (row) => <span title={row.workflow}>{row.workflow}</span> },
  { id: "instrument", label: "Instrument", width: 80, hidden: true, cell: (row) => row.instrument },
  { id: "node", label: "Process", help: "The current node, or the one that failed", width: 110, className: "owl-mono", cell: (row) => row.node },
  {
    id: "status",
    label: "Status",
    width: 100,
    sort: "status",
    cell: (row) => <Status row={row} />,
  },
  { id: "progress", label: "Nodes", help: "Nodes done, of all", width: 70, className: "owl-num", cell: progress },
  { id: "rescues", label: "Rescue", help: "How many times it was rescued", width: 68, className: "owl-num", cell: (row) => row.rescues || "" },
  { id: "started", label: "Start (UTC)", width: 150, sort: "started", className: "owl-num", cell: (row) => stamp(row.started_at) },
  { id: "ended", label: "Completion (UTC)", width: 150, sort: "ended", className: "owl-num", cell: (row) => stamp(row.ended_at) },
  { id: "state", label: "State", help: "HTCondor's word about the current node", width: 92, cell: (row) => <StateBadge state={row.node_state} /> },
  { id: "exit", label: "Exit", help: "Exit code of the current node; name and sentence on hover", width: 80, className: "owl-num", cell: (row) => <ExitCode exit={row} /> },
  { id: "why", label: "Why", help: "The error or the hold reason", width: 220, grows: true, cell: (row) => <span title={reasonOf(row) || undefined}>{reasonOf(row)}</span> },
  { id: "host", label: "Host", width: 140, cell: (row) => <span title={row.host ?? undefined}>{row.host}</span> },
  { id: "owner", label: "Owner", width: 80, cell: (row) => row.owner },
  { id: "attempt", label: "Attempt", width: 74, className: "owl-num", cell: (row) => row.attempt },
  { id: "age", label: "Age", help: "Since the run was made", width: 70, sort: "created", className: "owl-num", cell: (row) => <Age at={row.created_at} /> },
  { id: "lag", label: "Lag", help: "From HTCondor's event to the console", width: 64, className: "owl-num", cell: (row) => lag(row.lag_s) },
  { id: "updated", label: "Updated", width: 80, sort: "updated", hidden: true, className: "owl-num", cell: (row) => <Age at={row.updated_at} /> },
  { id: "priority", label: "Priority", width: 74, hidden: true, className: "owl-num", cell: (row) => row.priority },
  { id: "kind", label: "Error kind", width: 120, hidden: true, cell: (row) => row.error_kind?.replaceAll("_", " ") },
  {
    id: "campaign",
    label: "Campaign",
    width: 130,
    hidden: true,
    cell: (row) =>
      row.campaign && (
        <RouterLink className="owl-link" to={campaignPath(row.campaign)}>
          {row.campaign}
        </RouterLink>
      ),
  },
  {
    id: "run",
    label: "DAG run",
    width: 220,
    hidden: true,
    className: "owl-mono",
    cell: (row) => (
      <RouterLink className="owl-link" to={airflowRun(row.dag_id, row.run_id)}>
        {row.run_id}
      </RouterLink>
    ),
  },
];
