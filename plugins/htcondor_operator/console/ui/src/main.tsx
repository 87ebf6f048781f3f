/**
 * The bundle's entry.
 *
 * Airflow's host (3.3.2) looks for the component under the registered name on `globalThis`, and
 * only then for the bundle's export, which is there for the first of several names alone. So all
 * names that plugin.py registers are set here. They begin with "OWL": a name such as "History"
 * would find the browser's own.
 */
import { APPS } from "./shell/apps";

Object.assign(globalThis, APPS);

export default APPS["OWL"];
