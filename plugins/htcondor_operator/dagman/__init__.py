"""Pure logic about DAGMan: render, parse, graph, rescue plans, event folding."""
