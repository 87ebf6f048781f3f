/** What the queue's and the history's pages share. */

import { Trash2 } from "lucide-react";
import { useState } from "react";
import { useQueryClient } from "@tanstack/react-query";
import { Link as RouterLink } from "react-router-dom";

import { perform } from "../../api/bulk";
import type { Query } from "../../api/client";
import { refresh } from "../../api/queries";
import type { QueueRow } from "../../api/types";
import { campaignPath, datasetPath } from "../../lib/links";
import type { ActionRequest } from "../../parts/ActionDialog";
import { errorWords } from "../../parts/Notice";
import { useOpenAction, type BulkAction } from "../../table/ListPage";

export type QueueAction = "hold" | "release" | "remove" | "priority";

const LABELS: Record<QueueAction, string> = {
  hold: "Hold",
  release: "Release",
  priority: "Change priority",
  remove: "Remove",
};

const PRIORITY = { min: -10_000, max: 10_000 };

/** Return the dialog's request for an action on entries. */
export function queueRequest(
  action: QueueAction,
  keys: NonNullable<ActionRequest["keys"]>["values"],
  words: string,
  priority = 0,
): ActionRequest {
  return {
    title: `${LABELS[action]}: ${words}`,
    verb: LABELS[action],
    danger: action === "remove",
    path: "queue/actions",
    body: { action },
    keys: { field: "ids", values: keys },
    fields:
      action === "priority"
        ? [{ name: "priority", label: "Priority (higher goes first)", kind: "number", value: priority, ...PRIORITY }]
        : [],
  };
}

export const QUEUE_BULK: readonly BulkAction[] = (Object.keys(LABELS) as QueueAction[]).map((action) => ({
  id: action,
  label: LABELS[action],
  danger: action === "remove",
  request: (chosen) => queueRequest(action, chosen.keys, chosen.words),
}));

/** A name without wildcards is looked for as a beginning; a priority is a number or nothing. */
export function adaptFilters(query: Query): Query {
  const fileset = String(query["fileset"] ?? "");
  const adapted: Query = { ...query };
  if (fileset && !/[*?]/.test(fileset)) adapted["fileset"] = `${fileset}*`;
  if (query["priority"] !== undefined && !/^-?\d+$/.test(String(query["priority"]))) {
    delete adapted["priority"];
  }
  return adapted;
}

/** A fileset, leading to everything about it. */
export function Fileset({ name }: { name: string }) {
  return (
    <RouterLink className="owl-link" to={datasetPath(name)}>
      {name}
    </RouterLink>
  );
}

/** A campaign, leading to it. */
export function CampaignLink({ name }: { name: string | null }) {
  return name ? (
    <RouterLink className="owl-link" to={campaignPath(name)}>
      {name}
    </RouterLink>
  ) : null;
}

/** Takes an entry out of the queue, after a preview. */
export function TrashButton({ row }: { row: QueueRow }) {
  const open = useOpenAction();
  return (
    <button
      type="button"
      className="owl-icon-button"
      data-control="remove"
      aria-label={`Remove ${row.fileset} ${row.type}`}
      title="Remove from the queue"
      onClick={() => open(queueRequest("remove", [row.id], `${row.fileset} (${row.type})`))}
    >
      <Trash2 size={14} aria-hidden />
    </button>
  );
}

/** A priority that is changed in place: Enter keeps it, Escape leaves it. */
export function PriorityCell({ row, may }: { row: QueueRow; may: boolean }) {
  const client = useQueryClient();
  const [draft, setDraft] = useState<string | null>(null);
  const [trouble, setTrouble] = useState("");
  if (!may) return <>{row.priority}</>;
  if (draft === null) {
    return (
      <button type="button" className="owl-help" data-control="priority" style={{ cursor: "pointer" }}
        aria-label={`Priority of ${row.fileset}: ${row.priority}. Change it`}
        title="Change the priority"
        onClick={() => setDraft(String(row.priority))}>
        {row.priority}
      </button>
    );
  }
  const leave = (): void => {
    setDraft(null);
    setTrouble("");
  };
  const priority = Number(draft);
  const right =
    draft.trim() !== "" && Number.isInteger(priority) && priority >= PRIORITY.min && priority <= PRIORITY.max;
  const words = right ? trouble : `a whole number from ${PRIORITY.min} to ${PRIORITY.max}`;
  const keep = async (): Promise<void> => {
    if (!right) return;
    if (priority === row.priority) return leave();
    try {
      const wanted = { path: "queue/actions", body: { action: "priority", priority }, keys: { field: "ids", values: [row.id] } };
      const answer = await perform(wanted, null, false);
      const refused = answer.items.find((item) => item.why_not)?.why_not;
      if (refused) setTrouble(refused);
      else leave();
    } catch (error) {
      setTrouble(errorWords(error).message);
    }
    refresh(client);
  };
  return (
    <>
      <input
        className="owl-field"
        type="number"
        autoFocus
        {...PRIORITY}
        aria-label={`Priority of ${row.fileset}`}
        aria-invalid={!right || trouble !== ""}
        title={words || "Enter keeps it, Escape leaves it"}
        style={{ width: "100%", height: 24 }}
        value={draft}
        onChange={(event) => {
          setDraft(event.target.value);
          setTrouble("");
        }}
        // What was typed stays until it is kept or left: a refresh or a click elsewhere takes nothing.
        onBlur={() => draft === String(row.priority) && leave()}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Enter") void keep();
          if (event.key === "Escape") leave();
        }}
      />
      {words && <span role="alert" className="owl-trouble">{words}</span>}
    </>
  );
}
