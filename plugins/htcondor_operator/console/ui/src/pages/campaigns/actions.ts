/** The actions on campaigns. */

import type { Campaign } from "../../api/types";
import type { ActionField, ActionRequest } from "../../parts/ActionDialog";

export type CampaignAction = "approve" | "reject" | "pause" | "resume" | "retry" | "priority" | "cancel";

const WORDS: Record<CampaignAction, { label: string; verb: string; danger?: boolean; states: string[] }> = {
  approve: { label: "Approve", verb: "Approve", states: ["proposed"] },
  reject: { label: "Reject", verb: "Reject", danger: true, states: ["proposed"] },
  pause: { label: "Pause", verb: "Pause", states: ["running"] },
  resume: { label: "Resume", verb: "Resume", states: ["paused"] },
  retry: { label: "Retry what failed", verb: "Retry", states: ["running", "paused", "done"] },
  priority: { label: "Change priority", verb: "Change priority", states: ["proposed", "running", "paused"] },
  cancel: { label: "Cancel", verb: "Cancel the campaign", danger: true, states: ["running", "paused"] },
};

/** Return the actions that fit a campaign's state; who may not operate runs does not rescue them. */
export function campaignActions(state: string, operate: boolean): CampaignAction[] {
  const all = Object.keys(WORDS) as CampaignAction[];
  return all.filter((action) => WORDS[action].states.includes(state) && (operate || action !== "retry"));
}

/** Return an action's words. */
export const campaignWords = (action: CampaignAction): { label: string; danger?: boolean } => WORDS[action];

/** Return the dialog's request for an action on a campaign. */
export function campaignRequest(
  action: CampaignAction,
  campaign: Pick<Campaign, "name" | "priority">,
  operate: boolean,
): ActionRequest {
  const fields: ActionField[] = [];
  if (action === "priority") {
    fields.push({ name: "priority", label: "Priority (higher goes first)", kind: "number", value: campaign.priority, min: -10_000, max: 10_000 });
  }
  if (action === "cancel" && operate) {
    fields.push({ name: "running", label: "Also remove what runs", kind: "flag", value: false });
  }
  return {
    title: `${WORDS[action].label}: ${campaign.name}`,
    verb: WORDS[action].verb,
    danger: WORDS[action].danger,
    path: `campaigns/${encodeURIComponent(campaign.name)}/actions`,
    body: { action },
    fields,
  };
}
