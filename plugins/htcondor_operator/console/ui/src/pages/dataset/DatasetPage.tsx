/** Everything about one dataset: its runs, products, references, and its way through the queue. */

import { Box, Heading, HStack, Spacer, Stack } from "@chakra-ui/react";
import { Link as RouterLink } from "react-router-dom";

import { usePolled } from "../../api/queries";
import type { FlowRow, HistoryRow, Listing, Product, QueueRow } from "../../api/types";
import { runPath } from "../../lib/links";
import { useParams } from "../../lib/params";
import { between, duration, stamp } from "../../lib/time";
import { AsOf } from "../../parts/AsOf";
import { ExitCode } from "../../parts/ExitCode";
import { EmptyNotice, Loaded } from "../../parts/Notice";
import { Section } from "../../parts/Section";
import { SmallTable } from "../../parts/SmallTable";
import { StateBadge } from "../../parts/StateBadge";
import { chosenView, ViewTabs } from "../../parts/ViewTabs";
import { ProductCards } from "../archive/ProductCards";
import { Provenance } from "../archive/Provenance";

const VIEWS = [
  { id: "products", label: "Products" },
  { id: "provenance", label: "References" },
  { id: "queue", label: "Queue and history" },
];

/** The page of a dataset, by its name. */
export function DatasetPage({ dataset }: { dataset: string }) {
  const params = useParams();
  const runs = usePolled<Listing<FlowRow>>("flow", { search: dataset, history: true, limit: 100 });
  return (
    <Stack gap="3">
      <HStack>
        <Heading as="h1" size="lg" fontFamily="mono">{dataset}</Heading>
        <Spacer />
        <AsOf query={runs} />
      </HStack>
      <Section title="Runs">
        <Loaded query={runs} what="the runs">
          {(data) => <Runs runs={data.rows.filter((run) => run.dataset === dataset)} />}
        </Loaded>
      </Section>
      <Box>
        <ViewTabs label="Parts of the dataset" views={VIEWS} params={params} />
        <Box role="tabpanel">
          {chosenView(VIEWS, params) === "queue" ? (
            <Waiting dataset={dataset} />
          ) : (
            <Products dataset={dataset} provenance={chosenView(VIEWS, params) === "provenance"} />
          )}
        </Box>
      </Box>
    </Stack>
  );
}

function Products({ dataset, provenance }: { dataset: string; provenance: boolean }) {
  const query = usePolled<Listing<Product>>("products", { dataset, limit: 500 });
  return (
    <Loaded query={query} what="the products">
      {(data) => {
        const products = data.rows.filter((product) => product.dataset === dataset);
        if (provenance) return <Provenance products={products} />;
        if (products.length > 0) return <ProductCards products={products} withRun />;
        return <EmptyNotice title="Nothing of this dataset is in the archive yet" />;
      }}
    </Loaded>
  );
}

function Runs({ runs }: { runs: readonly FlowRow[] }) {
  return (
    <SmallTable
      label="Runs"
      rows={runs}
      keyOf={(run) => run.run_key}
      empty={<EmptyNotice title="No run yet">It waits in the queue, or nobody has asked for it.</EmptyNotice>}
      columns={[
        {
          label: "Run",
          width: 260,
          className: "owl-mono",
          cell: (run) => <RouterLink className="owl-link" to={runPath(run.run_key)}>{run.run_id}</RouterLink>,
        },
        { label: "Workflow", width: 160, cell: (run) => run.workflow },
        { label: "Status", width: 100, cell: (run) => <StateBadge state={run.status} /> },
        { label: "Process", width: 110, className: "owl-mono", cell: (run) => run.node },
        { label: "Exit", width: 80, className: "owl-num", cell: (run) => <ExitCode exit={run} /> },
        { label: "Attempt", width: 74, className: "owl-num", cell: (run) => run.attempt },
        { label: "Start (UTC)", width: 150, className: "owl-num", cell: (run) => stamp(run.started_at) },
        { label: "Completion (UTC)", width: 150, className: "owl-num", cell: (run) => stamp(run.ended_at) },
        { label: "Took", width: 100, className: "owl-num", cell: (run) => duration(between(run.started_at, run.ended_at)) },
        { label: "Why", className: "owl-wrap", cell: (run) => run.hold_reason ?? run.error_message },
      ]}
    />
  );
}

function Waiting({ dataset }: { dataset: string }) {
  const queue = usePolled<Listing<QueueRow>>("queue", { fileset: dataset });
  const history = usePolled<Listing<HistoryRow>>("history", { fileset: dataset });
  return (
    <Stack gap="3">
      <Section title="In the queue">
        <Loaded query={queue} what="the queue">
          {(data) => (
            <SmallTable
              label="In the queue"
              rows={data.rows}
              keyOf={(entry) => entry.id}
              empty={<EmptyNotice title="Nothing of it waits" />}
              columns={[
                { label: "Type", width: 180, cell: (entry) => entry.type },
                { label: "State", width: 110, cell: (entry) => <StateBadge state={entry.state} /> },
                { label: "Priority", width: 80, className: "owl-num", cell: (entry) => entry.priority },
                { label: "Inserted (UTC)", width: 150, className: "owl-num", cell: (entry) => stamp(entry.inserted_at) },
                { label: "Reason", className: "owl-wrap", cell: (entry) => entry.reason },
              ]}
            />
          )}
        </Loaded>
      </Section>
      <Section title="Has left the queue">
        <Loaded query={history} what="the history">
          {(data) => (
            <SmallTable
              label="Has left the queue"
              rows={data.rows}
              keyOf={(entry) => entry.id}
              empty={<EmptyNotice title="Nothing of it has left" />}
              columns={[
                { label: "Type", width: 180, cell: (entry) => entry.type },
                { label: "Outcome", width: 110, cell: (entry) => <StateBadge state={entry.outcome} /> },
                { label: "Inserted (UTC)", width: 150, className: "owl-num", cell: (entry) => stamp(entry.inserted_at) },
                { label: "Left (UTC)", width: 150, className: "owl-num", cell: (entry) => stamp(entry.left_at) },
                { label: "DAG run", className: "owl-mono", cell: (entry) => entry.run_id },
              ]}
            />
          )}
        </Loaded>
      </Section>
    </Stack>
  );
}
