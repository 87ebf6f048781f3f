/** Small parts of what says alerts: a severity, the channels, the badge on the tab. */

import { VisuallyHidden } from "@chakra-ui/react";

import { usePolled } from "../../api/queries";
import type { AlertChannel, AlertTotals } from "../../api/types";
import { count, stamp } from "../../lib/time";

const PALETTE: Record<string, string> = { info: "blue", warning: "orange", error: "red", critical: "red" };
const POLL_MS = 10_000;

const severityClass = (severity: string): string =>
  `owl-badge owl-badge-${PALETTE[severity] ?? "gray"}${severity === "critical" ? " owl-alarm" : ""}`;

/** How bad it is. */
export const Severity = ({ severity }: { severity: string }) => (
  <span className={severityClass(severity)}>{severity}</span>
);

/** How a channel's last message stands, in a word. */
export function channelState({ state, error, sent_at, due_at, tries }: AlertChannel): {
  palette: string;
  word: string;
  words: string;
} {
  if (state === "sent") return { palette: "green", word: "told", words: `told ${stamp(sent_at)} UTC` };
  if (state === "cancelled") return { palette: "gray", word: "not told", words: error ?? "not sent" };
  if (error !== null) {
    return { palette: "red", word: "down", words: `tried ${tries} times, again ${stamp(due_at)} UTC: ${error}` };
  }
  return { palette: "cyan", word: "due", words: `due ${stamp(due_at)} UTC` };
}

/** Who is told, and whether that worked. */
export function Channels({ channels }: { channels: readonly AlertChannel[] }) {
  if (channels.length === 0) return <span className="owl-muted">nobody</span>;
  return (
    <span style={{ display: "inline-flex", flexWrap: "wrap", gap: 4 }}>
      {channels.map((channel) => {
        const { palette, word, words } = channelState(channel);
        return (
          <span key={channel.channel} className={`owl-badge owl-badge-${palette}`} title={`${channel.channel}: ${words}`}>
            {channel.channel}: {word}
          </span>
        );
      })}
    </span>
  );
}

/** Ask how many alerts are open; all entrances of the console share the answer. */
export const useAlertTotals = () => usePolled<AlertTotals>("alerts/totals", {}, { every: POLL_MS });

/** Say how many nobody has acknowledged: "2 open alerts, not acknowledged; the worst is critical". */
export function totalWords(totals: AlertTotals): string {
  const n = totals.unacknowledged;
  return `${count(n)} open alert${n === 1 ? "" : "s"}, not acknowledged; the worst is ${totals.worst ?? "info"}`;
}

/** The number on the tab; nothing if there is nothing to do. */
export function AlertBadge() {
  const totals = useAlertTotals().data;
  if (!totals || totals.unacknowledged === 0) return null;
  const words = totalWords(totals);
  return (
    <span className={severityClass(totals.worst ?? "info")} style={{ marginInlineStart: 6 }} title={words} data-severity={totals.worst}>
      <span aria-hidden>{count(totals.unacknowledged)}</span>
      <VisuallyHidden>{words}</VisuallyHidden>
    </span>
  );
}
