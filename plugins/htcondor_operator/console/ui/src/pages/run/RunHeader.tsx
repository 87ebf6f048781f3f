/** What a run is, how it stands, and what can be done. */

import { Alert, Button, Flex, Heading, HStack, Link, Spacer, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Link as RouterLink } from "react-router-dom";

import type { RunDetail } from "../../api/types";
import { airflowRun, campaignPath, datasetPath } from "../../lib/links";
import { between, duration, stamp } from "../../lib/time";
import type { ActionRequest } from "../../parts/ActionDialog";
import { Age } from "../../parts/Age";
import { ExitCode, exitWords } from "../../parts/ExitCode";
import { StateBadge } from "../../parts/StateBadge";
import { actionsFor, runRequest, type RunAction } from "./actions";

const LABELS: Record<RunAction, string> = {
  rescue: "Rescue",
  hold: "Hold",
  release: "Release",
  remove: "Remove",
  priority: "Priority",
  retry_from: "Retry from…",
};

const TROUBLE = new Set(["failed", "held", "removed", "unknown"]);

interface Props {
  detail: RunDetail;
  operate: boolean;
  onAction: (request: ActionRequest) => void;
  onLog: (node: string) => void;
  asOf: ReactNode;
}

/** The head of a run's page. */
export function RunHeader({ detail, operate, onAction, onLog, asOf }: Props) {
  const { run } = detail;
  const nodes = detail.graph?.nodes ?? [...new Set(detail.nodes.map((node) => node.node))];
  const ask = (action: RunAction): void =>
    onAction(
      runRequest(action, [run.run_key], {
        words: `${run.dataset} (${run.workflow})`,
        nodes,
        node: action === "retry_from" ? run.node : null,
        priority: run.priority,
      }),
    );
  // What a rescue has begun to mend is history.
  const trouble = TROUBLE.has(run.status) && (run.hold_reason ?? run.error_message ?? exitWords(run));
  return (
    <Flex direction="column" gap="2">
      <HStack gap="3" wrap="wrap">
        <Heading as="h1" size="lg" fontFamily="mono">
          <Link asChild variant="plain"><RouterLink to={datasetPath(run.dataset)}>{run.dataset}</RouterLink></Link>
        </Heading>
        <StateBadge state={run.status} />
        <Text fontSize="sm">{run.workflow}</Text>
        <Text fontSize="sm" color="fg.muted">
          attempt {run.attempt}
          {run.rescues ? `, rescued ${run.rescues === 1 ? "once" : `${run.rescues} times`}` : ""}
          {run.nodes_total ? `, ${run.nodes_done ?? 0} of ${run.nodes_total} nodes done` : ""}
        </Text>
        {/* A zero says nothing that the status does not. */}
        {exitWords(run) && run.exit_code !== 0 && (
          <Text as="span" fontSize="sm">exit {run.status === "done" ? "" : <ExitCode exit={run} long />}</Text>
        )}
        <Spacer />
        {operate &&
          actionsFor(run).map((action) => (
            <Button key={action} size="xs" variant={action === "rescue" ? "solid" : "outline"}
              colorPalette={action === "remove" ? "red" : action === "rescue" ? "blue" : "gray"}
              onClick={() => ask(action)}>
              {LABELS[action]}
            </Button>
          ))}
      </HStack>
      <HStack gap="4" wrap="wrap" fontSize="xs" color="fg.muted">
        <Link asChild fontSize="xs" colorPalette="blue">
          <RouterLink to={airflowRun(run.dag_id, run.run_id)}>DAG run {run.run_id} in Airflow</RouterLink>
        </Link>
        {run.campaign && (
          <Link asChild fontSize="xs" colorPalette="blue">
            <RouterLink to={campaignPath(run.campaign)}>campaign {run.campaign}</RouterLink>
          </Link>
        )}
        <span>made {stamp(run.created_at)} UTC (<Age at={run.created_at} /> ago)</span>
        {run.started_at && <span>{run.ended_at ? "took" : "so far"} {duration(between(run.started_at, run.ended_at))}</span>}
        <span>priority {run.priority}</span>
        {run.host && <span>host {run.host}</span>}
        {run.owner && <span>owner {run.owner}</span>}
        <Spacer />
        {asOf}
      </HStack>
      {trouble && (
        <Alert.Root status={run.status === "held" ? "warning" : "error"} size="sm">
          <Alert.Indicator />
          <Alert.Content>
            <Alert.Title>
              {run.node ? `${run.node}: ` : ""}
              {(run.error_kind ?? run.status).replaceAll("_", " ")}
              {run.exit_code ? `, ${exitWords(run)}` : ""}
            </Alert.Title>
            {trouble !== exitWords(run) && <Alert.Description>{trouble}</Alert.Description>}
          </Alert.Content>
          {run.node && (
            <Button size="xs" variant="outline" onClick={() => onLog(run.node as string)}>
              Log of {run.node}
            </Button>
          )}
        </Alert.Root>
      )}
    </Flex>
  );
}
