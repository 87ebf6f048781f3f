/** Pool: machines and slots, who uses what, and whether OWL's daemons are well. */

import { Box, Flex, Grid, HStack, Spacer, Stack, Text } from "@chakra-ui/react";

import { usePolled } from "../../api/queries";
import type { PoolHealth, PoolState } from "../../api/types";
import { useParams } from "../../lib/params";
import { count, duration, stamp } from "../../lib/time";
import { Age } from "../../parts/Age";
import { AsOf } from "../../parts/AsOf";
import { EmptyNotice, Loaded } from "../../parts/Notice";
import { Section } from "../../parts/Section";
import { SmallTable } from "../../parts/SmallTable";
import { StateBadge } from "../../parts/StateBadge";
import { chosenView, ViewTabs } from "../../parts/ViewTabs";
import { Machines } from "./Machines";

const VIEWS = [
  { id: "machines", label: "Machines" },
  { id: "changes", label: "Coming and going" },
  { id: "health", label: "Health" },
];
const RECENT = 50;

/** The page. */
export function PoolPage() {
  const params = useParams();
  const view = chosenView(VIEWS, params);
  const pool = usePolled<PoolState>("pool");
  const health = usePolled<PoolHealth>("pool/health");
  return (
    <Flex direction="column" height="100%" minH="0" gap="2">
      <HStack>
        {pool.data && <Summary pool={pool.data} />}
        <Spacer />
        <AsOf query={view === "health" ? health : pool} />
      </HStack>
      <ViewTabs label="Parts of the pool" views={VIEWS} params={params} />
      <Box flex="1" minH="0" overflow="auto" role="tabpanel">
        {view === "health" ? (
          <Loaded query={health} what="the daemons">{(data) => <Health health={data} />}</Loaded>
        ) : (
          <Loaded query={pool} what="the pool">
            {(data) => (view === "changes" ? <Changes pool={data} /> : <Machines pool={data} />)}
          </Loaded>
        )}
      </Box>
    </Flex>
  );
}

function Summary({ pool }: { pool: PoolState }) {
  const here = pool.machines.filter((machine) => machine.present);
  const sum = (of: (machine: (typeof here)[number]) => number): number =>
    Math.round(here.reduce((total, machine) => total + of(machine), 0));
  const jobs = Object.entries(pool.jobs ?? {}).filter(
    (entry): entry is [string, number] => typeof entry[1] === "number",
  );
  return (
    <HStack gap="4" wrap="wrap" fontSize="sm">
      <Text>
        <strong>{count(here.length)}</strong> {here.length === 1 ? "machine" : "machines"}, <strong>{count(sum((m) => m.busy_cpus))}</strong> of{" "}
        {count(sum((m) => m.cpus))} cores busy, <strong>{count(sum((m) => m.busy_slots))}</strong> {sum((m) => m.busy_slots) === 1 ? "job" : "jobs"} in slots
      </Text>
      {jobs.length > 0 && <Text>Jobs of the schedd:</Text>}
      {jobs.map(([state, n]) => (
        <StateBadge key={state} state={state}><strong>{count(n)}</strong></StateBadge>
      ))}
    </HStack>
  );
}

function Changes({ pool }: { pool: PoolState }) {
  const changes = pool.machines
    .flatMap((machine) => [
      { machine: machine.machine, at: machine.joined_at, change: "joined" },
      ...(machine.left_at ? [{ machine: machine.machine, at: machine.left_at, change: "left" }] : []),
    ])
    .sort((left, right) => right.at.localeCompare(left.at))
    .slice(0, RECENT);
  return (
    <SmallTable
      label="Machines that came and went"
      rows={changes}
      keyOf={(change) => `${change.at} ${change.machine} ${change.change}`}
      empty={<EmptyNotice title="No machine has been seen">Is the pool up? See the Health view.</EmptyNotice>}
      columns={[
        { label: "When (UTC)", width: 150, className: "owl-num", cell: (change) => stamp(change.at) },
        { label: "Ago", width: 80, className: "owl-num", cell: (change) => <Age at={change.at} /> },
        { label: "What", width: 90, cell: (change) => <StateBadge state={change.change} /> },
        { label: "Machine", className: "owl-mono", cell: (change) => change.machine },
      ]}
    />
  );
}

function Health({ health }: { health: PoolHealth }) {
  const { marks, oldest_s: oldest } = health.console;
  return (
    <Stack gap="3">
      <Section title="OWL's daemons">
        <SmallTable
          label="Daemons"
          rows={health.daemons}
          keyOf={(daemon) => `${daemon.name} ${daemon.host}`}
          empty={<EmptyNotice title="No daemon has said a word">Start them with `owl up`.</EmptyNotice>}
          columns={[
            { label: "Daemon", width: 130, cell: (daemon) => daemon.name },
            { label: "Host", width: 180, cell: (daemon) => daemon.host },
            { label: "State", width: 110, cell: (daemon) => <StateBadge state={daemon.state} /> },
            { label: "Heartbeat", width: 110, className: "owl-num", cell: (daemon) => `${duration(daemon.age_s)} ago` },
            { label: "It says of itself", className: "owl-wrap", cell: (daemon) => daemon.facts },
          ]}
        />
      </Section>
      <Grid gap="3" templateColumns={{ base: "minmax(0, 1fr)", xl: "minmax(0, 2fr) minmax(0, 1fr)" }}>
        <Section title="Mirror: HTCondor's event logs">
          <SmallTable
            label="Event logs"
            rows={health.logs}
            keyOf={(log) => log.schedd}
            empty={<EmptyNotice title="No event log has been read">The mirror makes this row; see its log.</EmptyNotice>}
            columns={[
              { label: "Schedd", width: 200, cell: (log) => log.schedd },
              { label: "Events", width: 100, className: "owl-num", cell: (log) => count(log.events) },
              { label: "Lag p50", width: 90, className: "owl-num", cell: (log) => seconds(log.lag_p50_s) },
              { label: "Lag p99", width: 90, className: "owl-num", cell: (log) => seconds(log.lag_p99_s) },
              { label: "Last event (UTC)", width: 160, className: "owl-num", cell: (log) => stamp(log.event_at) },
              { label: "Read", className: "owl-num", cell: (log) => <><Age at={log.updated_at} /> ago</> },
            ]}
          />
        </Section>
        <Section title="This console">
          <Text fontSize="sm">
            {marks === 0
              ? "Every change is in the tables."
              : `${count(marks)} changes wait to be shown, the oldest for ${duration(oldest)}.`}
          </Text>
        </Section>
      </Grid>
    </Stack>
  );
}

const seconds = (value: number | null): string => (value === null ? "" : `${value.toFixed(2)} s`);
