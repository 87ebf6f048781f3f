/** A link by Airflow's names for a run: goes on to the run's page. */

import { Navigate } from "react-router-dom";

import { usePolled } from "../../api/queries";
import { runPath } from "../../lib/links";
import { useParams } from "../../lib/params";
import { Loaded } from "../../parts/Notice";

export interface Found {
  run_key: number;
  node: string | null;
}

/** The page; it is shown only while it looks, or when there is nothing. */
export function FindPage() {
  const params = useParams();
  const query = usePolled<Found>(
    "runs/find",
    { dag_id: params.get("dag_id"), run_id: params.get("run_id") },
    { every: false },
  );
  return (
    <Loaded query={query} what="the run">
      {(found) => <Navigate to={runPath(found.run_key)} replace />}
    </Loaded>
  );
}
