/** Errors: one row for one cause, however many datasets it hit. */

import { Link as RouterLink } from "react-router-dom";

import { get, type Query } from "../../api/client";
import { resolveTimes, useMay, useMe, usePolled } from "../../api/queries";
import type { ErrorGroup, FlowRow, Listing } from "../../api/types";
import { pagePath, runPath } from "../../lib/links";
import { toQuery, useParams } from "../../lib/params";
import { count, stamp } from "../../lib/time";
import type { ActionRequest } from "../../parts/ActionDialog";
import { Age } from "../../parts/Age";
import { ExitCode } from "../../parts/ExitCode";
import { EmptyNotice, Loaded } from "../../parts/Notice";
import type { MenuAction } from "../../parts/RowMenu";
import { SmallTable } from "../../parts/SmallTable";
import { StateBadge } from "../../parts/StateBadge";
import type { Column } from "../../table/columns";
import type { FilterSpec } from "../../table/FilterBar";
import { ListPage, type BulkAction, type Chosen } from "../../table/ListPage";
import { runRequest } from "../run/actions";

type Cause = readonly [node: string, kind: string, fingerprint: string, workflows: readonly string[]];
type Member = Pick<FlowRow, "run_key" | "dataset" | "workflow" | "status" | "ended_at">;

const causeOf = (row: ErrorGroup): Cause => [row.node, row.error_kind, row.fingerprint, row.workflows];
const keyOf = (row: ErrorGroup): string => JSON.stringify(causeOf(row));
const nameOf = (row: ErrorGroup): string =>
  `${row.node || "no node"} ${row.error_kind.replaceAll("_", " ")} (${count(row.n)})`;

const causeQuery = ([node, kind, fingerprint, workflows]: Cause) => ({
  workflow: [...workflows],
  cause_node: node,
  cause_kind: kind,
  cause_fingerprint: fingerprint,
});

/** Filters of the page that are not the cause itself: its runs are only those that fit them.
 * The cause names its workflows, which fit the page's. */
const SCOPE = ["node", "error", "campaign", "fingerprint", "since", "until"] as const;

const scopeOf = (search: URLSearchParams): Query => toQuery(search, SCOPE);

/** The data flow, filtered to the runs of a cause that fit the page's filters. */
function flowPath([node, kind, fingerprint, workflows]: Cause, search: URLSearchParams): string {
  const query = new URLSearchParams();
  for (const name of SCOPE) for (const value of search.getAll(name)) query.append(name, value);
  for (const status of ["failed", "held"]) query.append("status", status);
  for (const workflow of workflows) query.append("workflow", workflow);
  if (node) query.set("node", node);
  if (kind) query.set("error", kind);
  if (fingerprint) query.set("fingerprint", fingerprint);
  return `${pagePath("flow")}?${query.toString()}`;
}

/** Return the keys of all runs of some causes that fit the page's filters. */
async function runsOf(causes: readonly Cause[], scope: Query, signal: AbortSignal): Promise<number[]> {
  const keys = new Set<number>();
  const fitting = resolveTimes(scope);
  for (const cause of causes) {
    const { rows } = await get<Listing<Member>>("errors/runs", { ...fitting, ...causeQuery(cause) }, signal);
    for (const row of rows) keys.add(row.run_key);
  }
  return [...keys];
}

function rescue(causes: readonly Cause[], scope: Query, words: string): ActionRequest {
  return runRequest("rescue", (signal) => runsOf(causes, scope, signal), { words });
}

function acceptance(row: ErrorGroup): ActionRequest {
  const accepted = row.accepted_by !== null;
  return {
    title: accepted ? `No longer accept: ${nameOf(row)}` : `Accept as known: ${nameOf(row)}`,
    verb: accepted ? "Take back" : "Accept",
    path: "errors/accept",
    body: {
      node: row.node,
      error_kind: row.error_kind,
      fingerprint: row.fingerprint,
      workflows: row.workflows,
      accepted: !accepted,
    },
    reasonRequired: !accepted,
  };
}

const COLUMNS: Column<ErrorGroup>[] = [
  {
    id: "n",
    label: "Datasets",
    width: 86,
    className: "owl-num",
    fixed: true,
    cell: (row) => <Datasets row={row} />,
  },
  { id: "held", label: "Held", help: "How many of them are held", width: 50, className: "owl-num", cell: (row) => row.held || "" },
  { id: "node", label: "Node", width: 96, className: "owl-mono", cell: (row) => row.node },
  { id: "kind", label: "Kind", width: 120, cell: (row) => row.error_kind.replaceAll("_", " ") },
  { id: "exit", label: "Exit", width: 150, cell: (row) => <ExitCode exit={row} long /> },
  {
    id: "message",
    label: "Message (of the newest)",
    width: 300,
    grows: true,
    className: "owl-wrap",
    cell: (row) => row.sample_message ?? row.exit_sentence,
  },
  {
    id: "sample",
    label: "For instance",
    width: 120,
    className: "owl-mono",
    cell: (row) => (
      <RouterLink className="owl-link" to={runPath(row.sample, `?view=log${row.node ? `&node=${encodeURIComponent(row.node)}` : ""}`)}>
        {row.sample_dataset}
      </RouterLink>
    ),
  },
  { id: "first", label: "First", help: "How long ago it was seen first", width: 64, className: "owl-num", cell: (row) => <Age at={row.first_at} /> },
  { id: "last", label: "Last", help: "How long ago it was seen last", width: 64, className: "owl-num", cell: (row) => <Age at={row.last_at} /> },
  { id: "workflows", label: "Workflows", width: 104, cell: (row) => <span title={row.workflows.join(", ")}>{row.workflows.join(", ")}</span> },
  {
    id: "accepted",
    label: "Accepted",
    width: 120,
    grows: true,
    className: "owl-wrap",
    cell: (row) =>
      row.accepted_by && (
        <span title={`by ${row.accepted_by}, ${stamp(row.accepted_at)} UTC`}>{row.accepted_reason}</span>
      ),
  },
];

const bulkIn = (scope: Query): readonly BulkAction[] => [
  {
    id: "rescue",
    label: "Rescue",
    request: (chosen: Chosen) => {
      const keys = typeof chosen.keys === "function" ? [] : chosen.keys;
      const causes = keys.map((key) => JSON.parse(String(key)) as Cause);
      return rescue(causes, scope, `all runs of ${chosen.words}`);
    },
  },
];
const NO_BULK: readonly BulkAction[] = [];

function Datasets({ row }: { row: ErrorGroup }) {
  const { search } = useParams();
  return (
    <RouterLink className="owl-link" to={flowPath(causeOf(row), search)} title="Show them in the data flow">
      {count(row.n)}
    </RouterLink>
  );
}

/** Runs that are shown below a cause; all of them are in the data flow. */
const SHOWN = 50;

function Members({ row }: { row: ErrorGroup }) {
  const { search } = useParams();
  const query = usePolled<Listing<Member>>("errors/runs", {
    ...scopeOf(search),
    ...causeQuery(causeOf(row)),
    limit: SHOWN,
  });
  return (
    <Loaded query={query} what="the datasets">
      {(data) => (
        <SmallTable
          label={`Runs of ${nameOf(row)}`}
          rows={data.rows}
          keyOf={(run) => run.run_key}
          empty={<EmptyNotice title="None is left" />}
          columns={[
            {
              label: "Fileset",
              width: 130,
              className: "owl-mono",
              cell: (run) => <RouterLink className="owl-link" to={runPath(run.run_key)}>{run.dataset}</RouterLink>,
            },
            { label: "Workflow", width: 180, cell: (run) => run.workflow },
            { label: "Status", width: 100, cell: (run) => <StateBadge state={run.status} /> },
            { label: "Ended (UTC)", cell: (run) => stamp(run.ended_at) },
          ]}
        />
      )}
    </Loaded>
  );
}

const detail = (row: ErrorGroup) => <Members row={row} />;

/** The page. */
export function ErrorsPage() {
  const me = useMe().data;
  const operate = useMay("operate");
  const administer = useMay("administer");
  const { search } = useParams();
  const scope = scopeOf(search);
  const filters: FilterSpec[] = [
    { kind: "multi", name: "workflow", label: "Workflow", options: (me?.workflows ?? []).map((value) => ({ value })) },
    { kind: "text", name: "node", label: "Node", width: "7rem" },
    { kind: "multi", name: "error", label: "Error kind", options: Object.keys(me?.errors ?? {}).map((value) => ({ value })) },
    { kind: "text", name: "campaign", label: "Campaign", width: "9rem" },
    { kind: "hidden", name: "fingerprint", label: "One cause" },
    { kind: "time" },
  ];
  const menu = (row: ErrorGroup, open: (request: ActionRequest) => void): MenuAction[] => [
    { id: "flow", label: "Show in the data flow", to: flowPath(causeOf(row), search) },
    ...(operate
      ? [{ id: "rescue", label: `Rescue all ${count(row.n)}…`, run: () => open(rescue([causeOf(row)], scope, nameOf(row))) }]
      : []),
    ...(administer
      ? [
          {
            id: "accept",
            label: row.accepted_by ? "No longer accept…" : "Accept as known…",
            run: () => open(acceptance(row)),
          },
        ]
      : []),
  ];
  return (
    <ListPage<ErrorGroup>
      id="errors"
      label="Errors"
      noun="cause"
      path="errors"
      columns={COLUMNS}
      filters={filters}
      usualSort=""
      sortable={false}
      keyOf={keyOf}
      nameOf={nameOf}
      detail={detail}
      detailNoun="Runs"
      bulk={operate ? bulkIn(scope) : NO_BULK}
      actionsOf={menu}
      empty={{ title: "Nothing has failed", words: "Failed and held datasets are shown here by their cause." }}
    />
  );
}
