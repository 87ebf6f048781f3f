/** The edges of the graph, drawn by the charting library behind the nodes. */

import {
  Chart,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  type ChartConfiguration,
} from "chart.js";
import { useEffect, useRef } from "react";

import { readColours, useThemeChanges } from "../../lib/theme";
import type { Placed } from "./layout";

Chart.register(LinearScale, LineController, LineElement, PointElement);

type Points = { x: number; y: number }[];

const ARROW_PX = 5;

/** Return the line without its last pixels: the arrow's head is in front of the node, not under it. */
function stopped(points: Points): Points {
  const [before, end] = points.slice(-2);
  if (!before || !end) return points;
  const length = Math.hypot(end.x - before.x, end.y - before.y);
  const part = length > ARROW_PX ? (length - ARROW_PX) / length : 1;
  const last = { x: before.x + part * (end.x - before.x), y: before.y + part * (end.y - before.y) };
  return [...points.slice(0, -1), last];
}

/** Return the direction of a line's end, as chart.js turns a triangle that points upwards. */
function direction(points: Points): number {
  const [before, end] = points.slice(-2);
  if (!before || !end) return 90;
  return 90 + (180 / Math.PI) * Math.atan2(end.y - before.y, end.x - before.x);
}

function configuration(placed: Placed, colour: string): ChartConfiguration<"line", Points> {
  return {
    type: "line",
    data: {
      datasets: placed.edges.map(({ points }) => ({
        data: stopped(points),
        clip: false,
        borderColor: colour,
        backgroundColor: colour,
        borderWidth: 1.5,
        tension: 0.3,
        pointStyle: "triangle",
        pointRadius: points.map((_, at) => (at === points.length - 1 ? ARROW_PX : 0)),
        pointRotation: direction(points),
      })),
    },
    options: {
      animation: false,
      responsive: false,
      events: [],
      // Or the room for the arrows moves all of it.
      layout: { padding: 0, autoPadding: false },
      // A point of the layout is a pixel.
      scales: {
        x: { type: "linear", display: false, min: 0, max: placed.width },
        y: { type: "linear", display: false, min: 0, max: placed.height, reverse: true },
      },
      plugins: { tooltip: { enabled: false } },
    },
  };
}

/** The lines; the nodes say in words what they come after. */
export function Edges({ placed }: { placed: Placed }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const theme = useThemeChanges();
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return undefined;
    const chart = new Chart(context, configuration(placed, readColours(box).edge));
    return () => chart.destroy();
  }, [placed, theme]);
  return (
    <div ref={box}>
      <canvas ref={canvas} width={placed.width} height={placed.height} aria-hidden="true" />
    </div>
  );
}
