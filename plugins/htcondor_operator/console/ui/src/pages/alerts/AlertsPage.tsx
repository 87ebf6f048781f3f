/** Alerts: what is wrong now, who was told, and who takes care of it. */

import { Button } from "@chakra-ui/react";
import { useMemo } from "react";
import { Link as RouterLink } from "react-router-dom";

import type { Query } from "../../api/client";
import { useMay } from "../../api/queries";
import type { AlertRow } from "../../api/types";
import { count, stamp } from "../../lib/time";
import { ALERT_RULES, SEVERITIES } from "../../lib/words";
import type { ActionRequest } from "../../parts/ActionDialog";
import { Age } from "../../parts/Age";
import type { MenuAction } from "../../parts/RowMenu";
import type { Column } from "../../table/columns";
import type { FilterSpec } from "../../table/FilterBar";
import { ListPage, useOpenAction, type BulkAction } from "../../table/ListPage";
import { aboutOf } from "./about";
import { AlertDetail } from "./AlertDetail";
import { Channels, Severity } from "./parts";

const keyOf = (row: AlertRow): number => row.id;
const nameOf = (row: AlertRow): string => `alert ${row.id}, ${row.title}`;
const waits = (row: AlertRow): boolean => row.state === "open" && row.acked_at === null;

const FILTERS: FilterSpec[] = [
  { kind: "one", name: "state", label: "State", none: "open", options: [{ value: "closed" }, { value: "all", label: "open and closed" }] },
  { kind: "multi", name: "severity", label: "Severity", options: SEVERITIES },
  { kind: "multi", name: "rule", label: "Rule", options: ALERT_RULES },
  { kind: "hidden", name: "id", label: "One alert" },
];

function ackRequest(keys: NonNullable<ActionRequest["keys"]>["values"], words: string): ActionRequest {
  return {
    title: `Acknowledge ${words}`,
    verb: "Acknowledge",
    path: "alerts/actions",
    body: { action: "ack" },
    keys: { field: "ids", values: keys },
    reasonRequired: true,
  };
}

function Acknowledged({ row, may }: { row: AlertRow; may: boolean }) {
  const open = useOpenAction();
  if (row.acked_by) {
    return (
      <span title={`${stamp(row.acked_at)} UTC`}>
        {row.acked_by}: {row.ack_reason}
      </span>
    );
  }
  if (!may || !waits(row)) return null;
  return (
    <Button size="2xs" variant="outline" aria-label={`Acknowledge ${nameOf(row)}`}
      onClick={() => open(ackRequest([row.id], nameOf(row)))}>
      Acknowledge…
    </Button>
  );
}

const columns = (may: boolean): Column<AlertRow>[] => [
  { id: "severity", label: "Severity", width: 84, fixed: true, cell: (row) => <Severity severity={row.severity} /> },
  { id: "title", label: "What is wrong", width: 300, grows: true, className: "owl-wrap", cell: (row) => row.title },
  {
    id: "about",
    label: "Look at",
    width: 120,
    className: "owl-wrap",
    cell: (row) => {
      const place = aboutOf(row);
      return place && <RouterLink className="owl-link" to={place.to} aria-label={`${place.label} of alert ${row.id}`}>{place.label}</RouterLink>;
    },
  },
  { id: "count", label: "Count", help: "How many it concerns now", width: 74, className: "owl-num", cell: (row) => count(row.state === "open" ? row.count : row.most) },
  { id: "since", label: "Since", width: 66, className: "owl-num", cell: (row) => <Age at={row.opened_at} /> },
  { id: "told", label: "Last told", width: 80, className: "owl-num", cell: (row) => <Age at={row.told_at} /> },
  { id: "channels", label: "Channels", width: 150, grows: true, className: "owl-wrap", cell: (row) => <Channels channels={row.channels} /> },
  { id: "acked", label: "Acknowledged", width: 170, grows: true, className: "owl-wrap", cell: (row) => <Acknowledged row={row} may={may} /> },
  { id: "rule", label: "Rule", width: 140, className: "owl-mono", cell: (row) => row.rule },
  { id: "state", label: "State", width: 74, cell: (row) => row.state },
  { id: "closed", label: "Over (UTC)", width: 150, hidden: true, className: "owl-num", cell: (row) => stamp(row.closed_at) },
  { id: "opened", label: "Since (UTC)", width: 150, hidden: true, className: "owl-num", cell: (row) => stamp(row.opened_at) },
  { id: "workflows", label: "Workflows", width: 180, hidden: true, cell: (row) => row.dags.join(", ") },
  { id: "id", label: "Number", width: 80, hidden: true, className: "owl-num", cell: (row) => row.id },
];

const BULK: readonly BulkAction[] = [
  { id: "ack", label: "Acknowledge", request: (chosen) => ackRequest(chosen.keys, chosen.words) },
];
const NO_BULK: readonly BulkAction[] = [];

const detail = (row: AlertRow) => <AlertDetail row={row} />;

/** The route shows what is open where nothing else is asked for. */
const adapt = (query: Query): Query => ({ ...query, state: query["state"] || "open" });

/** The page. */
export function AlertsPage() {
  const may = useMay("operate");
  const shown = useMemo(() => columns(may), [may]);
  const menu = (row: AlertRow, open: (request: ActionRequest) => void): MenuAction[] => {
    const place = aboutOf(row);
    return [
      ...(place ? [{ id: "about", label: `Look at ${place.label}`, to: place.to }] : []),
      ...(may && waits(row)
        ? [{ id: "ack", label: "Acknowledge…", run: () => open(ackRequest([row.id], nameOf(row))) }]
        : []),
    ];
  };
  return (
    <ListPage<AlertRow>
      id="alerts"
      label="Alerts"
      noun="alert"
      path="alerts"
      columns={shown}
      filters={FILTERS}
      usualSort=""
      sortable={false}
      keyOf={keyOf}
      nameOf={nameOf}
      detail={detail}
      detailNoun="Messages"
      bulk={may ? BULK : NO_BULK}
      bulkByFilter
      actionsOf={menu}
      adapt={adapt}
      empty={{
        title: "No alert fits",
        words: "What is wrong is found within seconds and shown here. Choose the state to see what is over.",
      }}
    />
  );
}
