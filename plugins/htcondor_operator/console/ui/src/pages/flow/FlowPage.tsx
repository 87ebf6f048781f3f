/** Data flow: every dataset's latest state, live. */

import { HStack } from "@chakra-ui/react";
import { useMemo } from "react";

import { useMay, useMe, usePolled } from "../../api/queries";
import type { FlowRow, FlowTotals } from "../../api/types";
import { toQuery, useParams, type Params } from "../../lib/params";
import { count } from "../../lib/time";
import { RUN_STATES } from "../../lib/words";
import { useAnnounced } from "../../parts/Announcer";
import { StateBadge } from "../../parts/StateBadge";
import type { Option } from "../../parts/Choice";
import type { FilterSpec } from "../../table/FilterBar";
import { ListPage, type BulkAction } from "../../table/ListPage";
import { RUN_BULK, runMenu } from "../run/actions";
import { NodeHistory } from "../run/NodeHistory";
import { FLOW_COLUMNS } from "./columns";

const NO_BULK: readonly BulkAction[] = [];
const keyOf = (row: FlowRow): number => row.run_key;
const nameOf = (row: FlowRow): string => `${row.dataset} ${row.workflow}`;
const detail = (row: FlowRow) => <NodeHistory runKey={row.run_key} />;

const counted = (numbers: Record<string, number> | undefined): Option[] =>
  Object.entries(numbers ?? {})
    .sort(([left], [right]) => left.localeCompare(right))
    .map(([value, n]) => ({ value, count: n }));

/** The filters' names; what is offered in them is known later. */
const NAMES = ["search", "status", "workflow", "instrument", "node", "error", "exit_code", "campaign", "since", "until", "history", "fingerprint"];

/** The page. */
export function FlowPage() {
  const me = useMe().data;
  const operate = useMay("operate");
  const params = useParams();
  const totals = usePolled<FlowTotals>(
    "flow/totals",
    toQuery(params.search, NAMES.filter((name) => name !== "status")),
  ).data;
  const filters = useMemo(
    (): FilterSpec[] => [
      { kind: "search", name: "search", label: "Dataset begins with", width: "11rem" },
      { kind: "multi", name: "status", label: "Status", options: RUN_STATES },
      { kind: "multi", name: "workflow", label: "Workflow", options: (me?.workflows ?? []).map((value) => ({ value })) },
      { kind: "multi", name: "instrument", label: "Instrument", options: counted(totals?.instrument) },
      { kind: "multi", name: "node", label: "Node", options: (me?.nodes ?? []).map((value) => ({ value })) },
      {
        kind: "multi",
        name: "error",
        label: "Error kind",
        options: Object.keys(me?.errors ?? {}).map((value) => ({ value, label: value.replaceAll("_", " ") })),
      },
      {
        kind: "multi",
        name: "exit_code",
        label: "Exit code",
        options: Object.entries(me?.exit_codes ?? {}).map(([value, words]) => ({
          value,
          label: `${value} ${words.name}`,
        })),
      },
      { kind: "text", name: "campaign", label: "Campaign", width: "9rem" },
      { kind: "time" },
      { kind: "flag", name: "history", label: "all runs" },
      { kind: "hidden", name: "fingerprint", label: "one cause" },
    ],
    [me, totals?.instrument],
  );
  return (
    <ListPage<FlowRow>
      id="flow"
      label="Data flow"
      noun="run"
      path="flow"
      columns={FLOW_COLUMNS}
      filters={filters}
      usualSort="-created"
      keyOf={keyOf}
      nameOf={nameOf}
      detail={detail}
      detailNoun="Nodes"
      bulk={operate ? RUN_BULK : NO_BULK}
      bulkByFilter
      actionsOf={(row, open) => runMenu(row, operate, open)}
      header={() => <Totals params={params} counts={totals?.status} />}
      empty={{
        title: "No dataset fits",
        words:
          "Clear the filters, or start one: a delivery, `owl run start`, or Airflow's Trigger button.",
      }}
    />
  );
}

/** How many runs there are in each state; a click filters. */
function Totals({ params, counts }: { params: Params; counts: Record<string, number> | undefined }) {
  const words = RUN_STATES.filter(({ value }) => (counts?.[value] ?? 0) > 0).map(
    ({ value }) => `${count(counts?.[value])} ${value}`,
  );
  useAnnounced(counts ? `Now ${words.join(", ") || "no runs"}.` : null, params.search.toString());
  if (!counts) return null;
  const chosen = params.all("status");
  return (
    <HStack gap="2" wrap="wrap" role="group" aria-label="Runs by status">
      {RUN_STATES.filter(({ value }) => (counts[value] ?? 0) > 0 || chosen.includes(value)).map(({ value }) => {
        const on = chosen.includes(value);
        return (
          <button
            key={value}
            type="button"
            aria-pressed={on}
            style={{ cursor: "pointer", opacity: chosen.length === 0 || on ? 1 : 0.5 }}
            title={on ? `Show other states too` : `Show only ${value}`}
            onClick={() => params.set({ status: on ? chosen.filter((one) => one !== value) : [value] })}
          >
            <StateBadge state={value}>
              <strong>{count(counts[value] ?? 0)}</strong>
            </StateBadge>
          </button>
        );
      })}
    </HStack>
  );
}
