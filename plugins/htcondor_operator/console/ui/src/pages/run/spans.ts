/** What the timeline draws, as plain data. */

import type { NodeTry } from "../../api/types";
import { between } from "../../lib/time";

export interface Span {
  node: string;
  attempt: number;
  try: number;
  state: string;
  from: number;
  to: number;
  host: string | null;
  running: boolean;
}

/** Return the time of each try, from its start (or submission) to its end or now. */
export function spansOf(nodes: readonly NodeTry[], now: number): Span[] {
  return nodes.flatMap((node): Span[] => {
    const start = node.started_at ?? node.submitted_at;
    // A carried node took its time in an earlier attempt, where it has a span.
    if (!start || node.carried_from !== null) return [];
    // A job that was held and released, or evicted, ran more than once in one try.
    if (node.executions?.length) return executionsOf(node, now);
    const running = node.ended_at === null;
    return [
      {
        node: node.node,
        attempt: node.attempt,
        try: node.try,
        state: node.state,
        from: Date.parse(start),
        to: Math.max(Date.parse(start), running ? now : Date.parse(node.ended_at as string)),
        host: node.host,
        running,
      },
    ];
  });
}

function executionsOf(node: NodeTry, now: number): Span[] {
  const end = node.ended_at ? Date.parse(node.ended_at) : now;
  return (node.executions ?? []).map(([, from, to, host]) => ({
    node: node.node,
    attempt: node.attempt,
    try: node.try,
    state: to !== null && (!node.ended_at || Date.parse(to) !== Date.parse(node.ended_at)) ? "interrupted" : node.state,
    from: Date.parse(from),
    to: Math.max(Date.parse(from), to ? Date.parse(to) : end),
    host: host ?? node.host,
    running: to === null && node.ended_at === null,
  }));
}

/** Return for how many seconds a try ran, without the time that it was held or waited between. */
export function ranFor(node: NodeTry): number | null {
  if (!node.executions?.length) return between(node.started_at, node.ended_at);
  const spans = executionsOf(node, Date.now());
  // Procs of one cluster run side by side.
  const times = spans.map((span) => [span.from, span.to] as const).sort((left, right) => left[0] - right[0]);
  let total = 0;
  let until = 0;
  for (const [from, to] of times) {
    total += Math.max(0, to - Math.max(from, until));
    until = Math.max(until, to);
  }
  return total / 1_000;
}

/** Return the nodes in the graph's order; what the graph does not name comes behind. */
export function nodeOrder(nodes: readonly NodeTry[], graph: readonly string[]): string[] {
  return [...new Set([...graph, ...nodes.map((node) => node.node)])];
}

/** Return each node's latest try: what the graph shows. */
export function latestTries(nodes: readonly NodeTry[]): Map<string, NodeTry> {
  const latest = new Map<string, NodeTry>();
  for (const node of nodes) {
    const other = latest.get(node.node);
    if (
      !other ||
      node.attempt > other.attempt ||
      (node.attempt === other.attempt && node.try > other.try)
    ) {
      latest.set(node.node, node);
    }
  }
  return latest;
}
