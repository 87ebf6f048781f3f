/** A link by Airflow's names for a run: goes on to the run's page, and to what of it is asked for. */

import { usePolled } from "../../api/queries";
import { GoOn } from "../../lib/here";
import { runPath } from "../../lib/links";
import { useParams } from "../../lib/params";
import { Loaded } from "../../parts/Notice";

export interface Found {
  run_key: number;
  node: string | null;
}

/** Return the query without the names. */
function rest(search: URLSearchParams): string {
  const query = new URLSearchParams(search);
  for (const name of ["dag_id", "run_id"]) query.delete(name);
  return query.size > 0 ? `?${query.toString()}` : "";
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
      {(found) => <GoOn to={runPath(found.run_key, rest(params.search))} />}
    </Loaded>
  );
}
