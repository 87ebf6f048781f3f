/** The workflow with the state of each node's latest try. */

import { useMemo } from "react";

import type { NodeTry, RunDetail } from "../../api/types";
import { Scrolled } from "../../parts/Scrolled";
import { StateBadge } from "../../parts/StateBadge";
import { Edges } from "./Edges";
import { NODE_HEIGHT, NODE_WIDTH, place } from "./layout";

interface Props {
  graph: NonNullable<RunDetail["graph"]>;
  latest: ReadonlyMap<string, NodeTry>;
  chosen: string;
  onChoose: (node: string) => void;
}

const CURRENT: ReadonlySet<string> = new Set(["submitted", "idle", "running", "held"]);

/** Say what the lines show. */
export function afterWords(name: string, edges: Props["graph"]["edges"]): string {
  const before = edges.filter(([, to]) => to === name).map(([from]) => from);
  return before.length === 0 ? "begins" : `after ${before.join(", ")}`;
}

/** The graph; a node is a button that shows its log. */
export function RunGraph({ graph, latest, chosen, onChoose }: Props) {
  // A refresh brings an equal graph as a new object: it is laid out again only if it differs.
  const shape = JSON.stringify(graph);
  const placed = useMemo(() => {
    const { nodes, edges } = JSON.parse(shape) as Props["graph"];
    return place(nodes, edges);
  }, [shape]);
  return (
    <Scrolled label="Graph of the workflow" maxH="24rem">
      <div style={{ position: "relative", width: placed.width, height: placed.height }}>
        <Edges placed={placed} />
        {placed.nodes.map(({ name, left, top }) => {
          const state = latest.get(name)?.state ?? "unready";
          return (
            <button
              key={name}
              type="button"
              className="owl-node"
              aria-pressed={chosen === name}
              aria-describedby={`owl-after-${name}`}
              data-current={CURRENT.has(state) || undefined}
              style={{ left, top, width: NODE_WIDTH, height: NODE_HEIGHT }}
              onClick={() => onChoose(name)}
            >
              <strong>{name}</strong>{" "}
              <StateBadge state={state} />
              <span className="owl-hidden"> show its log</span>
              <span hidden id={`owl-after-${name}`}>{afterWords(name, graph.edges)}</span>
            </button>
          );
        })}
      </div>
    </Scrolled>
  );
}
