/** History: what has left the queue, and what became of it. */

import { Link as RouterLink } from "react-router-dom";

import { usePolled } from "../../api/queries";
import type { HistoryRow, Listing, QueueTotal } from "../../api/types";
import { airflowRun, datasetPath, findPath } from "../../lib/links";
import { between, duration, stamp } from "../../lib/time";
import { OUTCOMES } from "../../lib/words";
import type { MenuAction } from "../../parts/RowMenu";
import { StateBadge } from "../../parts/StateBadge";
import type { Column } from "../../table/columns";
import type { FilterSpec } from "../../table/FilterBar";
import { ListPage } from "../../table/ListPage";
import { adaptFilters, CampaignLink, Fileset } from "./entries";

const keyOf = (row: HistoryRow): number => row.id;
const nameOf = (row: HistoryRow): string => `${row.fileset} ${row.type}`;

const COLUMNS: Column<HistoryRow>[] = [
  { id: "fileset", label: "Fileset", width: 140, fixed: true, className: "owl-mono", cell: (row) => <Fileset name={row.fileset} /> },
  { id: "type", label: "Type", width: 190, cell: (row) => row.type },
  { id: "instrument", label: "Instrument", width: 90, cell: (row) => row.instrument },
  { id: "priority", label: "Priority", width: 80, className: "owl-num", cell: (row) => row.priority },
  { id: "outcome", label: "Outcome", width: 110, cell: (row) => <StateBadge state={row.outcome} /> },
  { id: "inserted", label: "Inserted (UTC)", width: 150, className: "owl-num", cell: (row) => stamp(row.inserted_at) },
  { id: "left", label: "Left (UTC)", width: 150, className: "owl-num", cell: (row) => stamp(row.left_at) },
  { id: "waited", label: "Waited", width: 100, className: "owl-num", cell: (row) => duration(between(row.inserted_at, row.left_at)) },
  { id: "ended", label: "Ended (UTC)", width: 150, className: "owl-num", cell: (row) => stamp(row.ended_at) },
  {
    id: "run",
    label: "Run",
    width: 250,
    className: "owl-mono",
    cell: (row) =>
      row.dag_id && row.run_id && (
        <RouterLink className="owl-link" to={findPath(row.dag_id, row.run_id)}>{row.run_id}</RouterLink>
      ),
  },
  { id: "reason", label: "Reason", width: 260, grows: true, className: "owl-wrap", cell: (row) => row.reason },
  { id: "campaign", label: "Campaign", width: 160, hidden: true, cell: (row) => <CampaignLink name={row.campaign} /> },
  { id: "by", label: "Asked by", width: 110, hidden: true, cell: (row) => row.requested_by },
  { id: "id", label: "Number", width: 80, hidden: true, className: "owl-num", cell: (row) => row.id },
];

function menu(row: HistoryRow): MenuAction[] {
  const actions: MenuAction[] = [{ id: "dataset", label: `All of ${row.fileset}`, to: datasetPath(row.fileset) }];
  if (row.dag_id && row.run_id) {
    actions.unshift({ id: "run", label: "Open the run", to: findPath(row.dag_id, row.run_id) });
    actions.push({ id: "airflow", label: "DAG run in Airflow", to: airflowRun(row.dag_id, row.run_id) });
  }
  return actions;
}

/** The page. */
export function HistoryPage() {
  const totals = usePolled<Listing<QueueTotal>>("queue/totals").data?.rows ?? [];
  const types = [...new Set(totals.map((row) => row.type))].sort();
  const filters: FilterSpec[] = [
    { kind: "search", name: "fileset", label: "Fileset (* and ? fit anything)", width: "14rem" },
    { kind: "one", name: "type", label: "Type", options: types.map((value) => ({ value })) },
    { kind: "one", name: "outcome", label: "Outcome", options: OUTCOMES },
    { kind: "text", name: "priority", label: "Priority", width: "6rem" },
    { kind: "text", name: "campaign", label: "Campaign", width: "9rem" },
  ];
  return (
    <ListPage<HistoryRow>
      id="history"
      label="History"
      noun="entry"
      path="history"
      columns={COLUMNS}
      filters={filters}
      adapt={adaptFilters}
      usualSort=""
      sortable={false}
      keyOf={keyOf}
      nameOf={nameOf}
      actionsOf={menu}
      empty={{ title: "Nothing has left the queue", words: "What is shoveled, removed or cancelled comes here." }}
    />
  );
}
