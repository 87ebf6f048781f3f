/** The workflow with the state of each node's latest try. */

import { Box } from "@chakra-ui/react";
import { useMemo } from "react";

import type { NodeTry, RunDetail } from "../../api/types";
import { StateBadge } from "../../parts/StateBadge";
import { NODE_HEIGHT, NODE_WIDTH, place } from "./layout";

interface Props {
  graph: NonNullable<RunDetail["graph"]>;
  latest: ReadonlyMap<string, NodeTry>;
  chosen: string;
  onChoose: (node: string) => void;
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
    <Box overflow="auto" maxH="24rem" tabIndex={0} role="region" aria-label="Graph of the workflow">
      <div style={{ position: "relative", width: placed.width, height: placed.height }}>
        <svg width={placed.width} height={placed.height} aria-hidden="true">
          <defs>
            <marker id="owl-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path className="owl-arrow" d="M0 0 L8 4 L0 8 z" />
            </marker>
          </defs>
          {placed.edges.map((edge) => (
            <path key={edge.key} className="owl-edge" d={edge.path} markerEnd="url(#owl-arrow)" />
          ))}
        </svg>
        {placed.nodes.map(({ name, left, top }) => {
          const state = latest.get(name)?.state ?? "unready";
          return (
            <button
              key={name}
              type="button"
              className="owl-node"
              aria-pressed={chosen === name}
              aria-label={`${name}: ${state}. Show its log`}
              style={{ left, top, width: NODE_WIDTH, height: NODE_HEIGHT }}
              onClick={() => onChoose(name)}
            >
              <strong>{name}</strong>
              <StateBadge state={state} />
            </button>
          );
        })}
      </div>
    </Box>
  );
}
