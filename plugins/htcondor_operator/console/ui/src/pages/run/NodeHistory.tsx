/** Every node of every attempt of a run, as a table: the talk's "data flow of a single dataset". */

import { Link as RouterLink } from "react-router-dom";

import { usePolled } from "../../api/queries";
import type { Attempt, NodeTry, RunDetail } from "../../api/types";
import { logQuery, runPath } from "../../lib/links";
import { duration, stamp } from "../../lib/time";
import { ExitCode, exitWords } from "../../parts/ExitCode";
import { Loaded } from "../../parts/Notice";
import { Scrolled } from "../../parts/Scrolled";
import { StateBadge } from "../../parts/StateBadge";
import { ranFor } from "./spans";

/** What is read of a node that failed comes first: no part of it is out of sight in a small window. */
const HEADS: [string, number | undefined, string?][] = [
  ["Attempt", 96],
  ["Node", 120],
  ["Try", 44, "owl-num"],
  ["State", 92],
  ["Exit", 70, "owl-num"],
  ["Log", 48],
  // What is left over.
  ["Why", undefined],
  ["Start (UTC)", 146, "owl-num"],
  ["Completion (UTC)", 146, "owl-num"],
  ["Took", 92, "owl-num"],
  ["Host", 120],
  ["Job", 70, "owl-num"],
];
const LEAST_WIDTH = 1_164;
const CURRENT: ReadonlySet<string> = new Set(["submitted", "idle", "running", "held"]);

/** The expanded row's content. */
export function NodeHistory({ runKey }: { runKey: number }) {
  const query = usePolled<RunDetail>(`runs/${runKey}`);
  return (
    <Loaded query={query} what="the nodes">
      {(data) => <NodeTable detail={data} />}
    </Loaded>
  );
}

/** Say why a try stands as it does: an exit code by its name and sentence, for those without a pointer. */
function whyOf(node: NodeTry): string {
  if (node.hold_reason) return node.hold_reason;
  if (node.exit_sentence && (node.exit_code || node.exit_signal)) return exitWords(node);
  return node.reason ?? (node.carried_from ? `done in attempt ${node.carried_from}` : "");
}

/** In the order in which they were started; what waits comes last. */
function byStart(left: NodeTry, right: NodeTry): number {
  const start = (one: NodeTry): number =>
    Date.parse(one.started_at ?? one.submitted_at ?? "") || Number.POSITIVE_INFINITY;
  const difference = start(left) - start(right);
  return Number.isNaN(difference) || difference === 0 ? 0 : difference;
}

function attemptWords(attempt: Attempt | undefined): string {
  if (!attempt) return "";
  const by = attempt.requested_by ? ` by ${attempt.requested_by}` : "";
  return `${attempt.kind}${by}${attempt.reason ? `: ${attempt.reason}` : ""}`;
}

/** The latest attempt first; within it by start. */
export function NodeTable({ detail }: { detail: RunDetail }) {
  const attempts = new Map(detail.attempts.map((attempt) => [attempt.attempt, attempt]));
  const nodes = [...detail.nodes].sort(
    (left, right) => right.attempt - left.attempt || byStart(left, right),
  );
  return (
    <Scrolled label="Nodes of all attempts">
      <table className="owl-table" aria-label="Nodes of all attempts" style={{ minWidth: LEAST_WIDTH }}>
        <thead>
          <tr>
            {HEADS.map(([label, width, className]) => (
              <th key={label} scope="col" className={className} style={{ width }}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={`${node.attempt} ${node.node} ${node.try}`} className="owl-row"
              data-current={CURRENT.has(node.state) || undefined}>
              <td title={attemptWords(attempts.get(node.attempt))}>
                {node.attempt} <span className="owl-muted">{attempts.get(node.attempt)?.kind}</span>
              </td>
              <td className="owl-mono">{node.node}</td>
              <td className="owl-num">{node.try}</td>
              <td>
                <StateBadge state={node.state} />
              </td>
              <td className="owl-num">
                <ExitCode exit={node} />
              </td>
              <td>
                {node.started_at && (
                  <RouterLink
                    className="owl-link"
                    aria-label={`Log of ${node.node}, attempt ${node.attempt}, try ${node.try}`}
                    to={runPath(detail.run.run_key, logQuery(node.node, node.attempt, node.try))}
                  >
                    log
                  </RouterLink>
                )}
              </td>
              <td className="owl-wrap">{whyOf(node)}</td>
              <td className="owl-num">{stamp(node.started_at)}</td>
              <td className="owl-num">{stamp(node.ended_at)}</td>
              <td className="owl-num">{duration(ranFor(node))}</td>
              <td title={node.slot ?? undefined}>{node.host}</td>
              <td className="owl-num">{node.cluster === null ? "" : `${node.cluster}.${node.proc ?? 0}`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolled>
  );
}
