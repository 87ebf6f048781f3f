/** OWL's tabs in Airflow's own pages: of a DAG run (this dataset), of a task instance (this node). */

import { Box, Stack } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Link as RouterLink } from "react-router-dom";

import { ApiError } from "../../api/client";
import { usePolled } from "../../api/queries";
import type { RunDetail } from "../../api/types";
import { runPath } from "../../lib/links";
import { useParams } from "../../lib/params";
import { EmptyNotice, Loaded } from "../../parts/Notice";
import { Section } from "../../parts/Section";
import { Silence } from "../../parts/Silence";
import type { Found } from "../run/FindPage";
import { LogViewer } from "../run/LogViewer";
import { NodeTable } from "../run/NodeHistory";
import { Resources } from "../run/Resources";
import { RunPage } from "../run/RunPage";

const isMissing = (error: Error | null): boolean => error instanceof ApiError && error.status === 404;

function NotOurs() {
  return (
    <EmptyNotice title="This is not a run of OWL">
      Or its launch task has not prepared anything yet: then it is here in a moment.
    </EmptyNotice>
  );
}

function Tab({ children }: { children: ReactNode }) {
  return (
    <Stack height="100%" overflow="auto" p="2" gap="2">
      <Silence />
      <Box>{children}</Box>
    </Stack>
  );
}

/** The tab of a DAG run. */
export function RunTab({ dagId, runId }: { dagId: string; runId: string }) {
  const query = usePolled<Found>("runs/find", { dag_id: dagId, run_id: runId });
  if (isMissing(query.error)) return <NotOurs />;
  return (
    <Tab>
      <Loaded query={query} what="the run">{(found) => <RunPage runKey={found.run_key} />}</Loaded>
    </Tab>
  );
}

/** The tab of a task instance. */
export function NodeTab({ dagId, runId, taskId }: { dagId: string; runId: string; taskId: string }) {
  const query = usePolled<Found>("runs/find", { dag_id: dagId, run_id: runId, task_id: taskId });
  if (isMissing(query.error)) return <NotOurs />;
  return (
    <Tab>
      <Loaded query={query} what="the node">
        {(found) =>
          found.node === null ? (
            <RunPage runKey={found.run_key} />
          ) : (
            <NodeView runKey={found.run_key} node={found.node} />
          )
        }
      </Loaded>
    </Tab>
  );
}

function NodeView({ runKey, node }: { runKey: number; node: string }) {
  const params = useParams();
  const query = usePolled<RunDetail>(`runs/${runKey}`);
  return (
    <Loaded query={query} what="the node">
      {(whole) => {
        const detail = { ...whole, nodes: whole.nodes.filter((one) => one.node === node) };
        return (
          <Stack gap="3">
            <Section
              title={`${node} of ${whole.run.dataset}, all attempts`}
              tools={<RouterLink className="owl-link" to={runPath(runKey)}>the whole run</RouterLink>}
            >
              <NodeTable detail={detail} />
            </Section>
            <Section title="Log"><LogViewer runKey={runKey} nodes={detail.nodes} params={params} /></Section>
            <Section title="Resources"><Resources nodes={detail.nodes} /></Section>
          </Stack>
        );
      }}
    </Loaded>
  );
}
