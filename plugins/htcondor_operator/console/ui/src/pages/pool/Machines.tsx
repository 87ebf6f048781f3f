import { Flex, Grid } from "@chakra-ui/react";
import { useCallback, useState } from "react";
import { Link as RouterLink } from "react-router-dom";

import { usePolled } from "../../api/queries";
import type { Listing, Machine, PoolState, Slot } from "../../api/types";
import { runPath } from "../../lib/links";
import { count, stamp } from "../../lib/time";
import { Age } from "../../parts/Age";
import { EmptyNotice, Loaded } from "../../parts/Notice";
import { Section } from "../../parts/Section";
import { SmallTable } from "../../parts/SmallTable";
import { StackBar } from "../../parts/StackBar";
import { StateBadge } from "../../parts/StateBadge";
import { settle, type Column } from "../../table/columns";
import { DataTable } from "../../table/DataTable";
import type { RowKey } from "../../table/selection";

const gigabytes = (megabytes: number): string => `${(megabytes / 1_024).toFixed(1)} GB`;

/** `$CondorVersion: 25.4.0 2026-… $` as `25.4.0`. */
const version = (software: string | null): string => /\d+\.\d+\.\d+/.exec(software ?? "")?.[0] ?? software ?? "";

const COLUMNS: Column<Machine>[] = [
  { id: "machine", label: "Machine", width: 190, className: "owl-mono", cell: (row) => row.machine },
  { id: "state", label: "State", width: 90, cell: (row) => <StateBadge state={row.present ? (row.busy_slots ? "running" : "idle") : "silent"} /> },
  {
    id: "cores",
    label: "Cores busy",
    width: 170,
    grows: true,
    cell: (row) => (
      <div className="owl-barred">
        <StackBar total={row.cpus} parts={[["running", row.busy_cpus]]} />
        {count(row.busy_cpus)} of {count(row.cpus)}
      </div>
    ),
  },
  {
    id: "memory",
    label: "Memory taken",
    width: 200,
    grows: true,
    cell: (row) => (
      <div className="owl-barred">
        <StackBar total={Math.round(row.memory_mb)} parts={[["running", Math.round(row.busy_mb)]]} unit="MB" />
        {(row.busy_mb / 1_024).toFixed(1)} of {gigabytes(row.memory_mb)}
      </div>
    ),
  },
  { id: "gpus", label: "GPUs", width: 60, className: "owl-num", cell: (row) => row.gpus || "" },
  { id: "jobs", label: "Jobs", width: 50, className: "owl-num", cell: (row) => row.busy_slots },
  { id: "load", label: "Load", width: 56, className: "owl-num", cell: (row) => row.load?.toFixed(2) },
  { id: "software", label: "HTCondor", width: 84, cell: (row) => version(row.software) },
  { id: "joined", label: "Joined (UTC)", width: 150, className: "owl-num", cell: (row) => stamp(row.joined_at) },
  { id: "seen", label: "Last seen", width: 84, className: "owl-num", cell: (row) => <Age at={row.seen_at} /> },
];
const CHOICE = settle(COLUMNS, null);
const keyOf = (row: Machine): string => row.machine;
const detail = (row: Machine) => <Slots machine={row.machine} />;

/** Machines with their slots, and who uses what. */
export function Machines({ pool }: { pool: PoolState }) {
  const [expanded, setExpanded] = useState<ReadonlySet<RowKey>>(new Set());
  const onExpand = useCallback(
    (key: RowKey, open: boolean) =>
      setExpanded((before) => {
        const next = new Set(before);
        if (open) next.add(key);
        else next.delete(key);
        return next;
      }),
    [],
  );
  return (
    <Grid gap="3" height="100%" minH="20rem" templateColumns={{ base: "minmax(0, 1fr)", "2xl": "minmax(0, 3fr) minmax(22rem, 1fr)" }}
      // One above the other: the machines take what is left.
      templateRows={{ base: "minmax(12rem, 1fr) auto", "2xl": "minmax(0, 1fr)" }}>
      <Flex direction="column" minH="0">
        <DataTable<Machine>
          label="Machines"
          columns={COLUMNS}
          choice={CHOICE}
          rows={pool.machines}
          keyOf={keyOf}
          nameOf={keyOf}
          sort=""
          expanded={expanded}
          onExpand={onExpand}
          detail={detail}
          detailNoun="Slots"
          empty={
            <EmptyNotice title="The pool is empty">
              No machine has advertised itself. Look at condor_status and at the Health view.
            </EmptyNotice>
          }
        />
      </Flex>
      <Section title="Who uses what">
        <SmallTable
          label="Users of the pool"
          rows={pool.users}
          keyOf={(user) => user.owner ?? ""}
          empty={<EmptyNotice title="Nobody uses a slot" />}
          columns={[
            { label: "Owner", cell: (user) => <span title={user.owner ?? undefined}>{user.owner}</span> },
            { label: "Slots", width: 60, className: "owl-num", cell: (user) => count(user.slots) },
            { label: "Cores", width: 60, className: "owl-num", cell: (user) => count(user.cpus) },
            { label: "Memory", width: 80, className: "owl-num", cell: (user) => gigabytes(user.memory_mb) },
          ]}
        />
      </Section>
    </Grid>
  );
}

function Slots({ machine }: { machine: string }) {
  const query = usePolled<Listing<Slot>>(`pool/machines/${encodeURIComponent(machine)}`);
  return (
    <Loaded query={query} what="the slots">
      {(data) => (
        <SmallTable
          label={`Slots of ${machine}`}
          rows={data.rows}
          keyOf={(slot) => slot.name}
          empty={<EmptyNotice title="No slot is advertised" />}
          columns={[
            { label: "Slot", width: 240, className: "owl-mono", cell: (slot) => slot.name },
            { label: "Kind", width: 110, cell: (slot) => slot.kind },
            { label: "State", width: 110, cell: (slot) => <StateBadge state={slot.state.toLowerCase()} /> },
            { label: "Activity", width: 90, cell: (slot) => slot.activity },
            { label: "Since", width: 80, className: "owl-num", cell: (slot) => <Age at={slot.since} /> },
            { label: "Cores", width: 70, className: "owl-num", cell: (slot) => slot.cpus },
            { label: "Memory", width: 90, className: "owl-num", cell: (slot) => gigabytes(slot.memory_mb) },
            { label: "Owner", width: 100, cell: (slot) => slot.owner },
            { label: "Job", width: 90, className: "owl-num", cell: (slot) => slot.job },
            {
              label: "Runs",
              className: "owl-mono",
              cell: (slot) =>
                slot.run_key !== null && (
                  <RouterLink className="owl-link" to={runPath(slot.run_key, slot.node ? `?node=${encodeURIComponent(slot.node)}` : "")}>
                    {slot.dataset} {slot.node}
                  </RouterLink>
                ),
            },
          ]}
        />
      )}
    </Loaded>
  );
}
