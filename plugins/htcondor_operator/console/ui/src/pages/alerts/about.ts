/** Where to look further: what an alert of each rule is about. */

import type { AlertRow } from "../../api/types";
import { campaignPath, pagePath } from "../../lib/links";

export interface Place {
  to: string;
  label: string;
}

const query = (page: string, words: Record<string, string | string[]>): string => {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(words)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one) found.append(name, one);
  }
  return `${pagePath(page)}?${found.toString()}`;
};

/** Return the page that shows what an alert is about, with its filters set. */
export function aboutOf({ rule, subject }: Pick<AlertRow, "rule" | "subject">): Place | null {
  switch (rule) {
    case "dataset_failed":
    case "dataset_held": {
      const [node = "", error = "", fingerprint = ""] = subject.split("|");
      return { to: query("errors", { node, error, fingerprint }), label: "its cause" };
    }
    case "dataset_slow":
      return {
        to: query("flow", { workflow: subject, status: ["launching", "running", "rescued"], sort: "created" }),
        label: "the runs of the workflow, the oldest first",
      };
    case "poller_stale":
      return { to: pagePath("pollers"), label: "the pollers" };
    case "backlog":
      return { to: query("queue", { type: subject, state: "waiting" }), label: "what waits" };
    case "campaign_done":
    case "campaign_stalled":
      return { to: campaignPath(subject), label: "the campaign" };
    case "pool_empty":
      return { to: pagePath("pool"), label: "the pool" };
    case "mirror_lag":
    case "daemon_silent":
      return { to: query("pool", { view: "health" }), label: "the health of the daemons" };
    default:
      return null;
  }
}
