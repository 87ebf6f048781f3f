/** Data flow: every dataset's latest state, live. */

import { HStack } from "@chakra-ui/react";
import { useMemo } from "react";

import { useMe, usePolled } from "../../api/queries";
import type { FlowRow, FlowTotals } from "../../api/types";
import { toQuery, type Params } from "../../lib/params";
import { count } from "../../lib/time";
import { ERROR_KINDS, RUN_STATES } from "../../lib/words";
import { StateBadge } from "../../parts/StateBadge";
import { filterNames, type FilterSpec } from "../../table/FilterBar";
import { ListPage } from "../../table/ListPage";
import { runBulk, runMenu } from "../run/actions";
import { NodeHistory } from "../run/NodeHistory";
import { FLOW_COLUMNS } from "./columns";

const keyOf = (row: FlowRow): number => row.run_key;
const nameOf = (row: FlowRow): string => `${row.dataset} ${row.workflow}`;
const detail = (row: FlowRow) => <NodeHistory runKey={row.run_key} />;
const options = (values: readonly string[] | undefined) => (values ?? []).map((value) => ({ value }));

/** The page. */
export function FlowPage() {
  const me = useMe().data;
  const operate = me?.can.operate ?? false;
  const filters = useMemo(
    (): FilterSpec[] => [
      { kind: "search", name: "search", label: "Dataset begins with", width: "11rem" },
      { kind: "multi", name: "status", label: "Status", options: RUN_STATES },
      { kind: "multi", name: "workflow", label: "Workflow", options: options(me?.workflows) },
      { kind: "multi", name: "instrument", label: "Instrument", options: options(me?.instruments) },
      { kind: "multi", name: "node", label: "Node", options: options(me?.nodes) },
      {
        kind: "multi",
        name: "error",
        label: "Error kind",
        options: me?.error_kinds ? options(me.error_kinds) : ERROR_KINDS,
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
      { kind: "text", name: "campaign", label: "Campaign" },
      { kind: "time" },
      { kind: "flag", name: "history", label: "all runs" },
    ],
    [me],
  );
  const nodes = me?.nodes ?? [];
  return (
    <ListPage<FlowRow>
      id="flow"
      label="Data flow"
      noun="runs"
      path="flow"
      columns={FLOW_COLUMNS}
      filters={filters}
      usualSort="-created"
      keyOf={keyOf}
      nameOf={nameOf}
      detail={detail}
      bulk={operate ? runBulk(nodes) : []}
      bulkByFilter
      actionsOf={(row, open) => runMenu(row, operate, nodes, open)}
      header={(params) => <Totals params={params} names={filterNames(filters)} />}
      empty={{
        title: "No dataset fits",
        words:
          "Clear the filters, or start one: a delivery, `owl run start`, or Airflow's Trigger button.",
      }}
    />
  );
}

/** How many runs there are in each state; a click filters. */
function Totals({ params, names }: { params: Params; names: string[] }) {
  const others = names.filter((name) => name !== "status");
  const totals = usePolled<FlowTotals>("flow/totals", toQuery(params.search, others));
  const counts = totals.data?.counts;
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
