/** The vocabulary of the back end (vocabulary.py), for the choices in filters. */

import type { Option } from "../parts/Choice";

const options = (words: string): Option[] => words.split(" ").map((value) => ({ value }));

export const RUN_STATES = options(
  "queued launching running held failed rescued done removed unknown",
);
export const ENTRY_STATES = options("waiting held paused informational");
export const OUTCOMES = options("shoveled done failed removed cancelled resolved");
export const ARRIVAL_STATES = options("accepted queued collected stored verified duplicate quarantined");
export const CAMPAIGN_STATES = options("proposed running paused done cancelled rejected");
export const SEVERITIES = options("critical error warning info");
export const ALERT_RULES = options(
  "dataset_failed dataset_held dataset_slow poller_stale backlog mirror_lag pool_empty daemon_silent campaign_done campaign_stalled",
);
/** States in which a run can be held or removed. */
export const LIVE_RUNS: ReadonlySet<string> = new Set([
  "queued",
  "launching",
  "running",
  "held",
  "rescued",
]);
/** States from which a run is rescued. */
export const RESCUABLE_RUNS: ReadonlySet<string> = new Set(["failed", "removed", "unknown"]);
