/** Pollers: what they watch, what they found, and the files that they did not accept. */

import { Alert, Box, Button, Flex, HStack, Spacer, Stack } from "@chakra-ui/react";
import { useState } from "react";
import { Link as RouterLink } from "react-router-dom";

import { useMay, usePolled } from "../../api/queries";
import type { Arrival, Listing, Poller } from "../../api/types";
import { airflowDag } from "../../lib/links";
import { useParams } from "../../lib/params";
import { bytes, duration, stamp } from "../../lib/time";
import { ARRIVAL_STATES } from "../../lib/words";
import { ActionDialog, type ActionRequest } from "../../parts/ActionDialog";
import { Age } from "../../parts/Age";
import { AsOf } from "../../parts/AsOf";
import { EmptyNotice, Loaded } from "../../parts/Notice";
import { SmallTable } from "../../parts/SmallTable";
import { StateBadge } from "../../parts/StateBadge";
import { chosenView, ViewTabs } from "../../parts/ViewTabs";
import type { Column } from "../../table/columns";
import type { FilterSpec } from "../../table/FilterBar";
import { ListPage, type BulkAction } from "../../table/ListPage";

const VIEWS = [
  { id: "pollers", label: "Pollers" },
  { id: "quarantine", label: "Quarantine" },
  { id: "arrivals", label: "All deliveries" },
];

/** The page. */
export function PollersPage() {
  const params = useParams();
  const view = chosenView(VIEWS, params);
  return (
    <Flex direction="column" height="100%" minH="0">
      <ViewTabs label="Parts of the pollers" views={VIEWS} params={params} />
      <Box flex="1" minH="0" role="tabpanel">
        {view === "pollers" ? <Pollers /> : <Arrivals key={view} quarantine={view === "quarantine"} />}
      </Box>
    </Flex>
  );
}

interface Overview extends Listing<Poller> {
  errors: string[];
}

/** Say a poller's last result: `3 accepted, 1 quarantined`. */
function resultWords(result: Poller["result"]): string {
  return Object.entries(result ?? {})
    .filter(([, value]) => typeof value === "number" && value > 0)
    .map(([name, value]) => `${String(value)} ${name.replaceAll("_", " ")}`)
    .join(", ");
}

function pollerRequest(poller: Poller): ActionRequest {
  const action = poller.paused ? "start" : "stop";
  return {
    title: `${action === "start" ? "Start" : "Stop"} ${poller.name}`,
    verb: action === "start" ? "Start" : "Stop",
    danger: action === "stop",
    path: `pollers/${encodeURIComponent(poller.name)}/actions`,
    body: { action },
  };
}

function Pollers() {
  const may = useMay("manage");
  const query = usePolled<Overview>("pollers");
  const [request, setRequest] = useState<ActionRequest | null>(null);
  return (
    <Stack gap="2" height="100%" overflow="auto">
      <HStack><Spacer /><AsOf query={query} /></HStack>
      <Loaded query={query} what="the pollers">
        {(data) => (
          <>
            {data.errors.map((error) => (
              <Alert.Root key={error} status="warning" size="sm">
                <Alert.Indicator />
                <Alert.Description>{error}</Alert.Description>
              </Alert.Root>
            ))}
            <SmallTable
              label="Pollers"
              rows={data.rows}
              keyOf={(poller) => poller.name}
              empty={<EmptyNotice title="No poller is declared">Declare one in include/pollers.yaml.</EmptyNotice>}
              columns={[
                {
                  label: "Name",
                  width: 140,
                  className: "owl-mono",
                  cell: (poller) => <span title={poller.description ?? undefined}>{poller.name}</span>,
                },
                {
                  label: "Status",
                  width: 90,
                  cell: (poller) => <StateBadge state={poller.paused ? "paused" : poller.state} />,
                },
                ...(may
                  ? [
                      {
                        label: "Control",
                        width: 70,
                        cell: (poller: Poller) => (
                          <Button size="2xs" variant="outline" disabled={!poller.declared}
                            aria-label={`${poller.paused ? "Start" : "Stop"} ${poller.name}`}
                            onClick={() => setRequest(pollerRequest(poller))}>
                            {poller.paused ? "Start" : "Stop"}
                          </Button>
                        ),
                      },
                    ]
                  : []),
                { label: "Last update", width: 96, className: "owl-num", cell: (poller) => poller.beat_at ? <><Age at={poller.beat_at} /> ago</> : "never" },
                { label: "Interval", width: 74, className: "owl-num", cell: (poller) => duration(poller.interval_s) },
                { label: "Last result", width: 130, className: "owl-wrap", cell: (poller) => resultWords(poller.result) },
                { label: "Result at (UTC)", width: 146, className: "owl-num", cell: (poller) => stamp(poller.result_at) },
                { label: "Kind", width: 96, cell: (poller) => poller.kind },
                { label: "Folder", width: 110, className: "owl-mono", cell: (poller) => <span title={poller.directory ?? undefined}>{poller.directory}</span> },
                { label: "Note", className: "owl-wrap", cell: (poller) => poller.error ?? poller.note },
                {
                  label: "Airflow",
                  width: 64,
                  cell: (poller) =>
                    poller.dag_id && <RouterLink className="owl-link" aria-label={`DAG of ${poller.name}`} to={airflowDag(poller.dag_id)}>DAG</RouterLink>,
                },
              ]}
            />
          </>
        )}
      </Loaded>
      <ActionDialog request={request} onClose={() => setRequest(null)} />
    </Stack>
  );
}

const keyOf = (row: Arrival): number => row.id;
const nameOf = (row: Arrival): string => `${row.name} of ${row.poller}`;

const COLUMNS: Column<Arrival>[] = [
  { id: "name", label: "File", width: 220, fixed: true, className: "owl-mono", cell: (row) => <span title={row.path}>{row.name}</span> },
  { id: "poller", label: "Poller", width: 140, cell: (row) => row.poller },
  { id: "state", label: "State", width: 110, cell: (row) => <StateBadge state={row.state} /> },
  { id: "reason", label: "Reason", width: 420, grows: true, className: "owl-wrap", cell: (row) => row.reason },
  { id: "fileset", label: "Fileset", width: 130, className: "owl-mono", cell: (row) => row.fileset },
  { id: "bytes", label: "Size", width: 90, className: "owl-num", cell: (row) => bytes(row.bytes) },
  { id: "arrived", label: "Arrived (UTC)", width: 150, className: "owl-num", cell: (row) => stamp(row.arrived_at) },
  { id: "folder", label: "Delivered to", width: 260, hidden: true, className: "owl-mono", cell: (row) => row.directory },
];

type FileAction = "release" | "delete";

const fileRequest = (action: FileAction, keys: NonNullable<ActionRequest["keys"]>["values"], words: string): ActionRequest => ({
  title: `${action === "release" ? "Release" : "Delete"}: ${words}`,
  verb: action === "release" ? "Release" : "Delete",
  danger: action === "delete",
  path: "pollers/quarantine/actions",
  body: { action },
  keys: { field: "ids", values: keys },
});

const FILE_BULK: readonly BulkAction[] = [
  { id: "release", label: "Release", request: (chosen) => fileRequest("release", chosen.keys, chosen.words) },
  { id: "delete", label: "Delete", danger: true, request: (chosen) => fileRequest("delete", chosen.keys, chosen.words) },
];
const NO_BULK: readonly BulkAction[] = [];

function Arrivals({ quarantine }: { quarantine: boolean }) {
  const may = useMay("manage") && quarantine;
  const pollers = usePolled<Overview>("pollers").data?.rows ?? [];
  const filters: FilterSpec[] = [
    { kind: "one", name: "poller", label: "Poller", options: pollers.map(({ name }) => ({ value: name })) },
    { kind: "text", name: "fileset", label: "Fileset", width: "9rem" },
    ...(quarantine ? [] : [{ kind: "one", name: "state", label: "State", options: ARRIVAL_STATES } as const]),
  ];
  return (
    <ListPage<Arrival>
      id={quarantine ? "quarantine" : "arrivals"}
      label={quarantine ? "Quarantine" : "Deliveries"}
      noun="file"
      path="pollers/arrivals"
      extra={quarantine ? { state: "quarantined" } : undefined}
      columns={COLUMNS}
      filters={filters}
      usualSort=""
      sortable={false}
      keyOf={keyOf}
      nameOf={nameOf}
      bulk={may ? FILE_BULK : NO_BULK}
      bulkByFilter
      actionsOf={
        may
          ? (row, open) => [
              { id: "release", label: "Release…", run: () => open(fileRequest("release", [row.id], row.name)) },
              { id: "delete", label: "Delete…", danger: true, run: () => open(fileRequest("delete", [row.id], row.name)) },
            ]
          : undefined
      }
      empty={
        quarantine
          ? { title: "Nothing is in quarantine", words: "Files that a poller cannot accept come here, with the reason." }
          : { title: "No delivery fits", words: "Clear the filters, or deliver a file into a poller's folder." }
      }
    />
  );
}
