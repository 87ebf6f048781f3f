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
  type Plugin,
} from "chart.js";
import { useEffect, useMemo, useRef } from "react";

import { readColours, useThemeChanges, type Colours } from "../../lib/theme";
import { duration, stamp } from "../../lib/time";
import { paletteOf } from "../../shell/styles";
import type { Span } from "./spans";
import { stepOf, ticksOf, tickWords } from "./ticks";

Chart.register(BarController, BarElement, CategoryScale, LinearScale, Tooltip);

const ROW_PX = 22;
const AXIS_PX = 62;
const TICK_PX = 90;
/** Marks of an axis whose width is not known yet. */
const USUAL_TICKS = 8;
/** Room behind the last bar for its words. */
const AFTER = 0.12;

type Point = { x: [number, number]; y: string; span: Span };

const clock = (at: number): string => stamp(new Date(at).toISOString()).slice(11);

/** What is said beside a bar: its state, for nobody has to know the colours, and how long it took. */
const wordsOf = (span: Span): string =>
  `${span.state}${span.running ? " for" : ""} ${duration((span.to - span.from) / 1_000)}`;

/** Writes the words behind each bar; in it or before it where there is no room. */
const captions: Plugin<"bar"> = {
  id: "owlCaptions",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea } = chart;
    const points = (chart.data.datasets[0]?.data ?? []) as unknown as Point[];
    ctx.save();
    ctx.font = "11px sans-serif";
    ctx.textBaseline = "middle";
    ctx.fillStyle = String(chart.options.color ?? "gray");
    const { x: axis } = chart.scales;
    const bars = chart.getDatasetMeta(0).data;
    for (const [at, { span }] of points.entries()) {
      const bar = bars[at];
      if (!bar || !axis) continue;
      const words = wordsOf(span);
      const [left, right] = [axis.getPixelForValue(span.from), axis.getPixelForValue(span.to)];
      const room = nextOf(points, span, axis.getPixelForValue.bind(axis)) ?? chartArea.right;
      const width = ctx.measureText(words).width;
      if (right + 6 + width <= room) ctx.fillText(words, right + 6, bar.y);
      else if (right - left > width + 12) {
        ctx.save();
        ctx.fillStyle = "white";
        ctx.fillText(words, right - 6 - width, bar.y);
        ctx.restore();
      } else if (left - 6 - width >= chartArea.left && room === chartArea.right) {
        ctx.fillText(words, left - 6 - width, bar.y);
      }
      // Where there is no room at all, the tooltip and the table have the words.
    }
    ctx.restore();
  },
};

/** Return where the node's next bar begins. */
function nextOf(points: readonly Point[], span: Span, pixel: (at: number) => number): number | null {
  const later = points
    .filter((point) => point.span.node === span.node && point.span.from > span.from)
    .map((point) => point.span.from);
  return later.length === 0 ? null : pixel(Math.min(...later));
}

function configuration(
  spans: readonly Span[],
  order: readonly string[],
  colours: Colours,
  choose: (span: Span) => void,
): ChartConfiguration<"bar", Point[], string> {
  const start = Math.min(...spans.map((span) => span.from));
  const end = Math.max(start + 1_000, ...spans.map((span) => span.to));
  const max = end + AFTER * (end - start);
  return {
    type: "bar",
    plugins: [captions],
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
          max,
          title: { display: true, align: "start", color: colours.text, text: `UTC, from ${stamp(new Date(start).toISOString())}` },
          afterBuildTicks: (axis) => {
            const most = axis.width > 0 ? Math.max(2, Math.floor(axis.width / TICK_PX)) : USUAL_TICKS;
            axis.ticks = ticksOf(start, max, most).map((value) => ({ value }));
          },
          ticks: {
            color: colours.text,
            maxRotation: 0,
            autoSkip: false,
            includeBounds: false,
            callback(value) {
              const most = this.width > 0 ? Math.max(2, Math.floor(this.width / TICK_PX)) : USUAL_TICKS;
              return tickWords(Number(value), stepOf(start, max, most));
            },
          },
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

  return (
    <>
      <Box ref={box} position="relative" width="100%" height={`${rows.length * ROW_PX + AXIS_PX}px`}>
        <canvas ref={canvas} aria-hidden="true" />
      </Box>
      <Words spans={spans} rows={rows} />
    </>
  );
}

/** The same for those who do not see the canvas. */
function Words({ spans, rows }: { spans: readonly Span[]; rows: readonly string[] }) {
  const sorted = [...spans].sort((left, right) => left.from - right.from);
  return (
    <div className="owl-hidden">
      <table aria-label="Timeline in words">
        <caption>
          {spans.length} tries of {rows.length} nodes, in the order of their start. Times are UTC.
        </caption>
        <thead>
          <tr>
            {["Node", "Attempt", "State", "From", "To", "Took"].map((head) => (
              <th key={head} scope="col">{head}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((span) => (
            <tr key={`${span.attempt} ${span.node} ${span.try}`}>
              <th scope="row">{span.node}</th>
              <td>{span.attempt}</td>
              <td>{span.state}</td>
              <td>{stamp(new Date(span.from).toISOString())}</td>
              <td>{span.running ? "still going on" : stamp(new Date(span.to).toISOString())}</td>
              <td>{duration((span.to - span.from) / 1_000)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
