/** The layered layout of a workflow's graph. */

import { Graph, layout } from "@dagrejs/dagre";

export const NODE_WIDTH = 104;
export const NODE_HEIGHT = 44;

export interface Placed {
  width: number;
  height: number;
  nodes: { name: string; left: number; top: number }[];
  edges: { key: string; points: { x: number; y: number }[] }[];
}

/** Place the nodes from left to right; an edge is a line through points. */
export function place(names: readonly string[], edges: readonly (readonly [string, string])[]): Placed {
  const graph = new Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 16, ranksep: 22, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const name of names) graph.setNode(name, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const [from, to] of edges) {
    if (graph.hasNode(from) && graph.hasNode(to)) graph.setEdge(from, to);
  }
  layout(graph);
  const size = graph.graph() as { width?: number; height?: number };
  return {
    width: size.width ?? 0,
    height: size.height ?? 0,
    nodes: names.map((name) => {
      const { x, y } = graph.node(name) as { x: number; y: number };
      return { name, left: x - NODE_WIDTH / 2, top: y - NODE_HEIGHT / 2 };
    }),
    edges: graph.edges().map((edge) => {
      const { points } = graph.edge(edge) as { points: { x: number; y: number }[] };
      return { key: `${edge.v} ${edge.w}`, points };
    }),
  };
}
