/** What the timeline draws, as plain data. */

import type { NodeTry } from "../../api/types";

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
