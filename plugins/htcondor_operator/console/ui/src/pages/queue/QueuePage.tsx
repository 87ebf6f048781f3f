/** Queue: what waits, the best first, and why it waits. */

import { Box, Button } from "@chakra-ui/react";
import { useMemo } from "react";

import { useMay, usePolled } from "../../api/queries";
import type { Listing, QueueRow, QueueTotal } from "../../api/types";
import { datasetPath } from "../../lib/links";
import { useParams, type Params } from "../../lib/params";
import { useRemembered } from "../../lib/storage";
import { count, stamp } from "../../lib/time";
import { ENTRY_STATES } from "../../lib/words";
import type { ActionRequest } from "../../parts/ActionDialog";
import { Age } from "../../parts/Age";
import type { MenuAction } from "../../parts/RowMenu";
import { SmallTable } from "../../parts/SmallTable";
import { StateBadge } from "../../parts/StateBadge";
import type { Column } from "../../table/columns";
import type { FilterSpec } from "../../table/FilterBar";
import { ListPage, type BulkAction } from "../../table/ListPage";
import {
  adaptFilters,
  CampaignLink,
  Fileset,
  PriorityCell,
  QUEUE_BULK,
  queueRequest,
  TrashButton,
  type QueueAction,
} from "./entries";

const keyOf = (row: QueueRow): number => row.id;
const nameOf = (row: QueueRow): string => `${row.fileset} ${row.type}`;
const NO_BULK: readonly BulkAction[] = [];

function columns(may: boolean): Column<QueueRow>[] {
  const trash: Column<QueueRow> = {
    id: "trash",
    label: "Remove",
    width: 66,
    className: "owl-tool",
    cell: (row) => <TrashButton row={row} />,
  };
  return [
    { id: "fileset", label: "Fileset", width: 140, fixed: true, className: "owl-mono", cell: (row) => <Fileset name={row.fileset} /> },
    { id: "type", label: "Type", width: 190, cell: (row) => row.type },
    { id: "instrument", label: "Instrument", width: 90, cell: (row) => row.instrument },
    { id: "priority", label: "Priority", width: 90, className: "owl-num", cell: (row) => <PriorityCell row={row} may={may} /> },
    { id: "state", label: "State", width: 110, cell: (row) => <StateBadge state={row.state} /> },
    // In sight at 1280 px: what is behind it may be scrolled to.
    ...(may ? [trash] : []),
    { id: "reason", label: "Reason", width: 320, grows: true, className: "owl-wrap", cell: (row) => row.reason },
    { id: "campaign", label: "Campaign", width: 160, cell: (row) => <CampaignLink name={row.campaign} /> },
    { id: "by", label: "Asked by", width: 110, cell: (row) => row.requested_by },
    { id: "inserted", label: "Inserted (UTC)", width: 150, className: "owl-num", cell: (row) => stamp(row.inserted_at) },
    { id: "age", label: "Waits", width: 74, className: "owl-num", cell: (row) => <Age at={row.inserted_at} /> },
    { id: "updated", label: "Updated (UTC)", width: 150, hidden: true, className: "owl-num", cell: (row) => stamp(row.updated_at) },
    { id: "id", label: "Number", width: 80, hidden: true, className: "owl-num", cell: (row) => row.id },
  ];
}

/** The page. */
export function QueuePage() {
  const may = useMay("request");
  const params = useParams();
  const totals = usePolled<Listing<QueueTotal>>("queue/totals").data?.rows ?? [];
  const types = [...new Set(totals.map((row) => row.type))].sort();
  const shown = useMemo(() => columns(may), [may]);
  const filters: FilterSpec[] = [
    { kind: "search", name: "fileset", label: "Fileset (* and ? fit anything)", width: "14rem" },
    { kind: "one", name: "type", label: "Type", options: types.map((value) => ({ value })) },
    { kind: "one", name: "state", label: "State", options: ENTRY_STATES },
    { kind: "text", name: "priority", label: "Priority", width: "6rem" },
    { kind: "text", name: "campaign", label: "Campaign", width: "9rem" },
  ];
  const menu = (row: QueueRow, open: (request: ActionRequest) => void): MenuAction[] => {
    const act = (action: QueueAction, label: string): MenuAction => ({
      id: action,
      label,
      danger: action === "remove",
      run: () => open(queueRequest(action, [row.id], nameOf(row), row.priority)),
    });
    const links: MenuAction[] = [{ id: "dataset", label: `All of ${row.fileset}`, to: datasetPath(row.fileset) }];
    if (!may) return links;
    return [
      ...links,
      row.state === "held" ? act("release", "Release…") : act("hold", "Hold…"),
      act("priority", "Change priority…"),
      act("remove", "Remove…"),
    ];
  };
  return (
    <ListPage<QueueRow>
      id="queue"
      label="Queue"
      noun="entry"
      path="queue"
      columns={shown}
      filters={filters}
      adapt={adaptFilters}
      usualSort=""
      sortable={false}
      keyOf={keyOf}
      nameOf={nameOf}
      bulk={may ? QUEUE_BULK : NO_BULK}
      bulkByFilter
      actionsOf={menu}
      header={() => <Totals rows={totals} params={params} />}
      empty={{
        title: "Nothing waits",
        words: "Deliveries, requests and campaigns put entries here; `owl queue add` does too.",
      }}
    />
  );
}

/** The queue's numbers by priority and type; a click filters. */
function Totals({ rows, params }: { rows: readonly QueueTotal[]; params: Params }) {
  const [open, setOpen] = useRemembered("queue.totals", true);
  const waiting = rows.filter((row) => row.unshoveled > 0);
  const all = waiting.reduce((sum, row) => sum + row.unshoveled, 0);
  return (
    <Box flex="none">
      <Button size="xs" variant="ghost" aria-expanded={open} onClick={() => setOpen(!open)}>
        {count(all)} in the queue{open ? ", by priority and type" : ": show by priority and type"}
      </Button>
      {open && waiting.length > 0 && (
        <Box maxH="11rem" overflowY="auto" borderWidth="1px" borderRadius="sm" maxW="56rem">
          <SmallTable
            label="The queue by priority and type"
            rows={waiting}
            keyOf={(row) => `${row.priority} ${row.type}`}
            empty={null}
            columns={[
              { label: "Priority", width: 80, className: "owl-num", cell: (row) => row.priority },
              {
                label: "Type",
                width: 220,
                cell: (row) => (
                  <button type="button" className="owl-help" style={{ cursor: "pointer" }}
                    onClick={() => params.set({ type: row.type, priority: String(row.priority) })}>
                    {row.type}
                  </button>
                ),
              },
              { label: "In the queue", width: 100, className: "owl-num", cell: (row) => count(row.unshoveled) },
              ...ENTRY_STATES.map(({ value }) => ({
                label: value,
                width: 90,
                className: "owl-num",
                cell: (row: QueueTotal) => count(Number(row[value] ?? 0)),
              })),
              { label: "Ever", width: 90, className: "owl-num", cell: (row) => count(row.total) },
            ]}
          />
        </Box>
      )}
    </Box>
  );
}
