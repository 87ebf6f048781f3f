/** The actions on runs: the same from a row's menu, a selection, a group of errors and a run. */

import type { FlowRow } from "../../api/types";
import { airflowRun, airflowTask, datasetPath, runLogPath, runPath } from "../../lib/links";
import { LIVE_RUNS, RESCUABLE_RUNS } from "../../lib/words";
import type { ActionField, ActionRequest } from "../../parts/ActionDialog";
import type { MenuAction } from "../../parts/RowMenu";
import type { BulkAction, Chosen } from "../../table/ListPage";
import type { Key } from "../../api/bulk";

export type RunAction = "rescue" | "hold" | "release" | "remove" | "priority" | "retry_from";

const WORDS: Record<RunAction, { label: string; verb: string; danger?: boolean }> = {
  rescue: { label: "Rescue", verb: "Rescue" },
  hold: { label: "Hold", verb: "Hold" },
  release: { label: "Release", verb: "Release" },
  remove: { label: "Remove", verb: "Remove", danger: true },
  priority: { label: "Change priority", verb: "Change priority" },
  retry_from: { label: "Retry from a node", verb: "Retry" },
};

export const RUN_ACTIONS = Object.keys(WORDS) as RunAction[];

interface Details {
  words: string;
  nodes?: readonly string[];
  node?: string | null;
  priority?: number;
}

type Keys = readonly Key[] | ((signal: AbortSignal) => Promise<Key[]>);

/** Return the dialog's request for an action on some runs. */
export function runRequest(
  action: RunAction,
  keys: Keys,
  details: Details,
): ActionRequest {
  const fields: ActionField[] = [];
  if (action === "priority") {
    fields.push({ name: "priority", label: "Priority (higher is sooner)", kind: "number", value: details.priority ?? 0 });
  }
  const nodes = details.nodes ?? [];
  if (action === "retry_from" && nodes.length === 0) {
    fields.push({ name: "node", label: "From node (as in the template)", kind: "text", value: details.node ?? "" });
  } else if (action === "retry_from") {
    const start = details.node && nodes.includes(details.node) ? details.node : (nodes[0] as string);
    fields.push({ name: "node", label: "From node", kind: "choice", value: start, options: [...nodes] });
  }
  return {
    title: `${WORDS[action].label}: ${details.words}`,
    verb: WORDS[action].verb,
    danger: WORDS[action].danger,
    path: "runs/actions",
    body: { action, node: details.node ?? null, priority: null },
    keys: { field: "run_keys", values: keys },
    fields,
  };
}

/** Return the actions that make sense for a run; the server has the last word. */
export function actionsFor(row: Pick<FlowRow, "status">): RunAction[] {
  const live = LIVE_RUNS.has(row.status);
  return RUN_ACTIONS.filter((action) => {
    if (action === "rescue" || action === "retry_from") {
      return RESCUABLE_RUNS.has(row.status) || (action === "retry_from" && row.status === "done");
    }
    if (action === "hold") return live && row.status !== "held";
    if (action === "release") return row.status === "held";
    return live;
  });
}

/** Return a row's menu: where it leads, and what can be done. */
export function runMenu(
  row: FlowRow,
  operate: boolean,
  open: (request: ActionRequest) => void,
): MenuAction[] {
  const menu: MenuAction[] = [
    { id: "open", label: "Open the run", to: runPath(row.run_key) },
    { id: "dataset", label: `All of ${row.dataset}`, to: datasetPath(row.dataset) },
    {
      id: "log",
      label: row.node ? `Log of ${row.node}` : "Log",
      to: runLogPath(row.run_key, row.node),
    },
    { id: "airflow", label: "DAG run in Airflow", to: airflowRun(row.dag_id, row.run_id) },
  ];
  if (row.node) {
    menu.push({
      id: "task",
      label: `Task ${row.node} in Airflow`,
      to: airflowTask(row.dag_id, row.run_id, row.task_id ?? row.node),
    });
  }
  if (!operate) return menu;
  for (const action of actionsFor(row)) {
    menu.push({
      id: action,
      label: `${WORDS[action].label}…`,
      danger: WORDS[action].danger,
      run: () =>
        open(
          runRequest(action, [row.run_key], {
            words: `${row.dataset} (${row.workflow})`,
            node: action === "retry_from" ? row.node : null,
            priority: row.priority,
          }),
        ),
    });
  }
  return menu;
}

/** The bulk actions of a list of runs. */
export const RUN_BULK: readonly BulkAction[] = RUN_ACTIONS.map((action) => ({
  id: action,
  label: WORDS[action].label,
  danger: WORDS[action].danger,
  request: (chosen: Chosen) => runRequest(action, chosen.keys, { words: chosen.words }),
}));
