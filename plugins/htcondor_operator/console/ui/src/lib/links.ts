/** Where things are: the console's own pages, and Airflow's. */

export const ROOT = "/plugin/owl";

export const pagePath = (page: string): string => `${ROOT}/${page}`;
export const runPath = (runKey: number, query = ""): string => `${ROOT}/run/${runKey}${query}`;
export const datasetPath = (dataset: string): string => `${ROOT}/dataset/${encodeURIComponent(dataset)}`;
export const campaignPath = (name: string): string => `${ROOT}/campaigns?name=${encodeURIComponent(name)}`;

/** A run by Airflow's names for it. */
export const findPath = (dagId: string, runId: string): string =>
  `${ROOT}/find?${new URLSearchParams({ dag_id: dagId, run_id: runId }).toString()}`;

export const airflowRun = (dagId: string, runId: string): string =>
  `/dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(runId)}`;
export const airflowTask = (dagId: string, runId: string, taskId: string): string =>
  `${airflowRun(dagId, runId)}/tasks/${encodeURIComponent(taskId)}`;
export const airflowDag = (dagId: string): string => `/dags/${encodeURIComponent(dagId)}`;

/** Link to the log of a node's try, at a line if one is named. */
export function logQuery(node: string, attempt: number, tryNumber: number, line?: number): string {
  const query = new URLSearchParams({
    node,
    attempt: String(attempt),
    try: String(tryNumber),
    view: "log",
  });
  if (line !== undefined) query.set("line", String(line));
  return `?${query.toString()}`;
}

/** The log of a run's node, at its latest try. */
export const runLogPath = (runKey: number, node: string | null): string =>
  runPath(runKey, `?view=log${node ? `&node=${encodeURIComponent(node)}` : ""}`);
