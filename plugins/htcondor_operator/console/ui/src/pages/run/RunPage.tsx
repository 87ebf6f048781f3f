/** One run: what happened, where, why, and what was done about it. */

import { Box, Grid, Stack } from "@chakra-ui/react";
import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { useMay, usePolled } from "../../api/queries";
import type { Listing, Product, RunDetail } from "../../api/types";
import { useParams, type Params } from "../../lib/params";
import { LIVE_RUNS } from "../../lib/words";
import { ActionDialog, type ActionRequest } from "../../parts/ActionDialog";
import { ActionLog } from "../../parts/ActionLog";
import { useAnnounced } from "../../parts/Announcer";
import { AsOf } from "../../parts/AsOf";
import { EmptyNotice, Loaded } from "../../parts/Notice";
import { Section } from "../../parts/Section";
import { chosenView, ViewTabs } from "../../parts/ViewTabs";
import { ProductCards } from "../archive/ProductCards";
import { Provenance } from "../archive/Provenance";
import { LogViewer } from "./LogViewer";
import { NodeTable } from "./NodeHistory";
import { Resources } from "./Resources";
import { RunGraph } from "./RunGraph";
import { RunHeader } from "./RunHeader";
import { latestTries, nodeOrder, spansOf } from "./spans";
import { Timeline } from "./Timeline";

const VIEWS = [
  { id: "nodes", label: "Nodes" },
  { id: "log", label: "Log" },
  { id: "resources", label: "Resources" },
  { id: "products", label: "Products" },
  { id: "provenance", label: "References" },
  { id: "actions", label: "Actions" },
];

/** The page of a run, by its key. */
export function RunPage({ runKey }: { runKey: number }) {
  const query = usePolled<RunDetail>(`runs/${runKey}`);
  return (
    <Loaded query={query} what="the run">
      {(detail) => (
        <RunView detail={detail} at={query.dataUpdatedAt} asOf={<AsOf query={query} />} />
      )}
    </Loaded>
  );
}

function RunView({ detail, at, asOf }: { detail: RunDetail; at: number; asOf: ReactNode }) {
  const params = useParams();
  const operate = useMay("operate");
  const [request, setRequest] = useState<ActionRequest | null>(null);
  const { run } = detail;
  useAnnounced(
    `Run of ${run.dataset}: ${run.status}${run.node ? ` at ${run.node}` : ""}, ${run.nodes_done ?? 0}/${run.nodes_total ?? 0} nodes.`,
    String(run.run_key),
  );
  const live = LIVE_RUNS.has(run.status);
  // The bars of a run that is over do not move; those of a live one, with each answer.
  const now = live ? at : 0;
  const spans = useMemo(() => spansOf(detail.nodes, now || Date.now()), [detail.nodes, now]);
  const order = useMemo(
    () => nodeOrder(detail.nodes, detail.graph?.nodes ?? []),
    [detail.nodes, detail.graph],
  );
  const latest = useMemo(() => latestTries(detail.nodes), [detail.nodes]);
  // Who asks for a log wants to see it: it is below the charts.
  const parts = useRef<HTMLDivElement>(null);
  const wanted =
    params.get("view") === "log" ? ["view", "node", "attempt", "try"].map(params.get).join(" ") : "";
  useEffect(() => {
    if (wanted) parts.current?.scrollIntoView({ block: "start" });
  }, [wanted]);
  const showLog = (node: string, attempt?: number, number?: number): void =>
    params.set({
      view: "log",
      node,
      attempt: attempt === undefined ? null : String(attempt),
      try: number === undefined ? null : String(number),
      line: null,
      find: null,
    });
  return (
    <Stack gap="3">
      <RunHeader detail={detail} operate={operate} onAction={setRequest} onLog={showLog} asOf={asOf} />
      <Grid gap="3" templateColumns={{ base: "minmax(0, 1fr)", "2xl": "minmax(0, 1fr) minmax(0, 1fr)" }}>
        <Section title="Timeline">
          {spans.length > 0 ? (
            <Timeline spans={spans} order={order} onChoose={(span) => showLog(span.node, span.attempt, span.try)} />
          ) : (
            <EmptyNotice title="Nothing has run yet">Bars appear when the first node starts.</EmptyNotice>
          )}
        </Section>
        <Section title="Graph">
          {detail.graph && detail.graph.nodes.length > 0 ? (
            <RunGraph graph={detail.graph} latest={latest} chosen={params.get("node")} onChoose={showLog} />
          ) : (
            <EmptyNotice title="The graph is not known yet">It is read when the run is prepared.</EmptyNotice>
          )}
        </Section>
      </Grid>
      {/* High enough at once to be scrolled to, before the log is there. */}
      <Box ref={parts} minH="70vh">
        <ViewTabs label="Parts of the run" views={VIEWS} params={params} />
        <Box role="tabpanel">
          <View detail={detail} params={params} />
        </Box>
      </Box>
      <ActionDialog request={request} onClose={() => setRequest(null)} />
    </Stack>
  );
}

function View({ detail, params }: { detail: RunDetail; params: Params }) {
  switch (chosenView(VIEWS, params)) {
    case "log":
      return <LogViewer runKey={detail.run.run_key} nodes={detail.nodes} params={params} />;
    case "resources":
      return <Resources nodes={detail.nodes} />;
    case "products":
      return <Products detail={detail} provenance={false} />;
    case "provenance":
      return <Products detail={detail} provenance />;
    case "actions":
      return <ActionLog actions={detail.actions} />;
    default:
      return <NodeTable detail={detail} />;
  }
}

function Products({ detail, provenance }: { detail: RunDetail; provenance: boolean }) {
  const { run_key: runKey, dataset } = detail.run;
  const query = usePolled<Listing<Product>>("products", { dataset, limit: 500 });
  return (
    <Loaded query={query} what="the products">
      {(data) => {
        const own = data.rows.filter((product) => product.run_key === runKey);
        if (provenance) return <Provenance products={own} />;
        if (own.length > 0) return <ProductCards products={own} />;
        return (
          <EmptyNotice title="This run has no products in the archive">
            They come when it has ended well; a later run may have replaced them (see the dataset).
          </EmptyNotice>
        );
      }}
    </Loaded>
  );
}
