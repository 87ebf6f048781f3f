/** When each node ran, over all attempts: floating bars of a chart. */

import { Box } from "@chakra-ui/react";
import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  LinearScale,
  Tooltip,
  type ChartConfiguration,
} from "chart.js";
import { useEffect, useMemo, useRef } from "react";

import { readColours, useThemeChanges, type Colours } from "../../lib/theme";
import { duration, stamp } from "../../lib/time";
import { paletteOf } from "../../shell/styles";
import type { Span } from "./spans";

Chart.register(BarController, BarElement, CategoryScale, LinearScale, Tooltip);

const ROW_PX = 22;
const AXIS_PX = 46;

type Point = { x: [number, number]; y: string; span: Span };

const clock = (at: number): string => stamp(new Date(at).toISOString()).slice(11);

function configuration(
  spans: readonly Span[],
  order: readonly string[],
  colours: Colours,
  choose: (span: Span) => void,
): ChartConfiguration<"bar", Point[], string> {
  const start = Math.min(...spans.map((span) => span.from));
  const end = Math.max(...spans.map((span) => span.to));
  return {
    type: "bar",
    data: {
      labels: [...order],
      datasets: [
        {
          data: spans.map((span) => ({ x: [span.from, span.to], y: span.node, span })),
          backgroundColor: spans.map((span) => colours.palette[paletteOf(span.state)]),
          borderSkipped: false,
          minBarLength: 3,
          barThickness: ROW_PX - 8,
          grouped: false,
        },
      ],
    },
    options: {
      indexAxis: "y",
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      color: colours.text,
      onClick: (_event, hits, chart) => {
        const hit = hits[0];
        const point = hit && (chart.data.datasets[0]?.data[hit.index] as unknown as Point);
        if (point) choose(point.span);
      },
      scales: {
        x: {
          type: "linear",
          min: start,
          max: end > start ? end : start + 1_000,
          ticks: { color: colours.text, maxRotation: 0, autoSkip: true, callback: (value) => clock(Number(value)) },
          grid: { color: colours.grid },
        },
        y: {
          type: "category",
          ticks: { color: colours.text, autoSkip: false },
          grid: { color: colours.grid },
        },
      },
      plugins: {
        tooltip: {
          displayColors: false,
          callbacks: {
            title: (items) => {
              const span = (items[0]?.raw as Point | undefined)?.span;
              return span ? `${span.node}, attempt ${span.attempt}, try ${span.try}` : "";
            },
            label: (item) => {
              const { span } = item.raw as Point;
              return [
                `${span.state}${span.host ? ` on ${span.host}` : ""}`,
                `${clock(span.from)} to ${span.running ? "now" : clock(span.to)} UTC`,
                duration((span.to - span.from) / 1_000),
              ];
            },
          },
        },
      },
    },
  };
}

interface Props {
  spans: readonly Span[];
  order: readonly string[];
  onChoose: (span: Span) => void;
}

/** The chart; the table of nodes says the same in words. */
export function Timeline({ spans, order, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const chart = useRef<Chart<"bar", Point[], string> | null>(null);
  const choose = useRef(onChoose);
  choose.current = onChoose;
  const theme = useThemeChanges();
  const rows = useMemo(() => order.filter((node) => spans.some((span) => span.node === node)), [order, spans]);

  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || spans.length === 0) return;
    const wanted = configuration(spans, rows, readColours(box), (span) => choose.current(span));
    if (chart.current) {
      chart.current.data = wanted.data;
      if (wanted.options) chart.current.options = wanted.options;
      chart.current.update("none");
    } else chart.current = new Chart(context, wanted);
  }, [spans, rows, theme]);
  useEffect(
    () => () => {
      chart.current?.destroy();
      chart.current = null;
    },
    [],
  );

  const words = `Timeline of ${spans.length} tries of ${rows.length} nodes. The table "Nodes" has the same times.`;
  return (
    <Box ref={box} position="relative" width="100%" height={`${rows.length * ROW_PX + AXIS_PX}px`}>
      <canvas ref={canvas} role="img" aria-label={words} />
    </Box>
  );
}
