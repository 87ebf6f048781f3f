/** What the back end sends: see the routes of `console/routes_*.py`. Times are ISO 8601 in UTC. */

export type RunStatus =
  | "queued"
  | "launching"
  | "running"
  | "held"
  | "failed"
  | "rescued"
  | "done"
  | "removed"
  | "unknown";

export interface ExitWords {
  name: string;
  sentence: string;
}

export type Permission = "read" | "operate" | "request" | "manage" | "administer";

export interface Me {
  user: string;
  /** Which controls are shown; every route decides by itself. */
  can: Record<Permission, boolean>;
  version: string;
  workflows: string[];
  /** Names of the nodes that these workflows can have. */
  nodes: string[];
  statuses: string[];
  exit_codes: Record<string, ExitWords>;
  /** Kinds of error with their sentences. */
  errors: Record<string, string>;
}

export interface Listing<Row> {
  rows: Row[];
  next?: string | null;
  as_of?: string | null;
}

export interface Exit {
  exit_code: number | null;
  exit_signal?: number | null;
  exit_name: string | null;
  exit_sentence: string | null;
}

export interface FlowRow extends Exit {
  run_key: number;
  dag_id: string;
  run_id: string;
  dataset: string;
  workflow: string;
  instrument: string | null;
  status: string;
  node: string | null;
  node_state: string | null;
  attempt: number;
  rescues: number;
  priority: number;
  created_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  updated_at: string | null;
  error_kind: string | null;
  error_message: string | null;
  hold_reason: string | null;
  host: string | null;
  owner: string | null;
  campaign: string | null;
  fingerprint?: string | null;
  task_id?: string | null;
  lag_s: number | null;
  nodes_total: number | null;
  nodes_done: number | null;
}

export interface FlowTotals {
  status: Record<string, number>;
  workflow: Record<string, number>;
  instrument: Record<string, number>;
}

export interface Attempt {
  attempt: number;
  kind: string;
  state: string;
  requested_by: string | null;
  reason: string | null;
  requested_at: string | null;
  submitted_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  cluster: number | null;
  error_kind: string | null;
  error_message: string | null;
}

export interface NodeTry extends Exit {
  attempt: number;
  node: string;
  try: number;
  task_id?: string | null;
  state: string;
  host: string | null;
  slot: string | null;
  submitted_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  hold_reason: string | null;
  memory_request_mb: number | null;
  memory_peak_mb: number | null;
  cpu_s: number | null;
  priority: number | null;
  carried_from: number | null;
  /** When the job ran: proc, from, to (null: it runs) and host. */
  executions?: [proc: number, from: string, to: string | null, host: string | null][] | null;
  cluster: number | null;
  proc: number | null;
  reason: string | null;
}

export interface AuditEntry {
  at: string;
  who: string | null;
  action: string;
  what: string | null;
  reason: string | null;
}

export interface RunDetail {
  run: FlowRow;
  attempts: Attempt[];
  nodes: NodeTry[];
  graph: { nodes: string[]; edges: [string, string][] } | null;
  actions: AuditEntry[];
}

export interface LogPage {
  lines: { n: number; text: string }[];
  total: number | null;
  path: string | null;
  truncated: boolean;
  matches: number | null;
}

export interface Product {
  id: number;
  obs_id: string;
  dataset: string;
  name: string;
  dataproduct_type: string | null;
  dataproduct_subtype: string | null;
  calib_level: number | null;
  bytes: number;
  sha256: string | null;
  instrument_name: string | null;
  detector: string | null;
  filters: string | null;
  target_name: string | null;
  proposal_id: string | null;
  s_ra: number | null;
  s_dec: number | null;
  t_exptime: number | null;
  observed_at: string | null;
  workflow: string | null;
  run_key: number | null;
  attempt: number | null;
  reference_context: string | null;
  reference_files: Record<string, string> | null;
  archived_at: string | null;
  verified_at: string | null;
  fault: string | null;
  /** Numbers of the products that are its pictures. */
  preview: number | null;
  thumb: number | null;
}

export interface ErrorGroup extends Exit {
  node: string;
  error_kind: string;
  fingerprint: string;
  n: number;
  held: number;
  first_at: string | null;
  last_at: string | null;
  sample: number;
  sample_dataset: string;
  sample_message: string | null;
  workflows: string[];
  accepted_reason: string | null;
  accepted_by: string | null;
  accepted_at: string | null;
  until: string | null;
}

export interface AlertChannel {
  channel: string;
  why: string;
  state: string;
  tries: number;
  due_at: string | null;
  sent_at: string | null;
  error: string | null;
}

export interface AlertRow {
  id: number;
  rule: string;
  subject: string;
  state: string;
  severity: string;
  title: string;
  count: number;
  most: number;
  detail: Record<string, unknown>;
  /** Of the DAGs that it is about, those that the user may read. */
  dags: string[];
  /** Whether it is about others, too. */
  partly: boolean;
  opened_at: string;
  closed_at: string | null;
  told_at: string | null;
  acked_by: string | null;
  acked_at: string | null;
  ack_reason: string | null;
  /** The last message for each. */
  channels: AlertChannel[];
}

export interface AlertMessage extends AlertChannel {
  id: number;
}

export interface AlertDetail extends AlertRow {
  messages: AlertMessage[];
}

export interface AlertTotals {
  open: number;
  unacknowledged: number;
  worst: string | null;
  severity: Record<string, number>;
}

export interface QueueRow {
  id: number;
  fileset: string;
  type: string;
  instrument: string | null;
  priority: number;
  state: string;
  reason: string | null;
  campaign: string | null;
  requested_by: string | null;
  inserted_at: string;
  updated_at: string;
}

export interface HistoryRow {
  id: number;
  fileset: string;
  type: string;
  instrument: string | null;
  priority: number;
  outcome: string;
  reason: string | null;
  campaign: string | null;
  requested_by: string | null;
  inserted_at: string;
  left_at: string;
  ended_at: string | null;
  dag_id: string | null;
  run_id: string | null;
}

export interface QueueTotal {
  priority: number;
  type: string;
  unshoveled: number;
  total: number;
  [state: string]: number | string;
}

export interface Poller {
  name: string;
  dag_id: string | null;
  kind: string | null;
  description?: string | null;
  directory: string | null;
  interval_s: number | null;
  state: string;
  paused: boolean;
  declared: boolean;
  busy: boolean;
  beat_at: string | null;
  result_at: string | null;
  result: Record<string, unknown> | null;
  note: string | null;
  error: string | null;
}

export interface Arrival {
  id: number;
  poller: string;
  name: string;
  directory: string;
  bytes: number;
  fileset: string | null;
  type: string | null;
  state: string;
  reason: string | null;
  path: string;
  arrived_at: string;
}

export interface Campaign {
  name: string;
  type: string;
  state: string;
  priority: number;
  total: number;
  open: number;
  done: number;
  failed: number;
  source: string;
  reason: string | null;
  created_by: string;
  approved_by: string | null;
  created_at: string;
}

export interface CampaignReport {
  name: string;
  type: string;
  state: string;
  priority: number;
  source: string;
  reason: string | null;
  created_by: string;
  approved_by: string | null;
  created_at: string;
  total: number;
  open: number;
  ended: number;
  counts: Record<string, number>;
  rate_per_hour: number | null;
  eta_s: number | null;
  last_ended_at: string | null;
  failures: { kind: string; n: number; for_instance: string }[];
}

export interface Member {
  fileset: string;
  part: string;
  state: string;
  note: string | null;
  dag_id: string | null;
  run_id: string | null;
  ended_at: string | null;
}

export interface Machine {
  machine: string;
  present: boolean;
  cpus: number;
  memory_mb: number;
  gpus: number;
  software: string | null;
  joined_at: string;
  left_at: string | null;
  seen_at: string;
  slots: number;
  busy_slots: number;
  busy_cpus: number;
  busy_mb: number;
  load: number | null;
}

export interface Slot {
  name: string;
  kind: string;
  state: string;
  activity: string;
  cpus: number;
  memory_mb: number;
  load: number | null;
  owner: string | null;
  job: string | null;
  since: string | null;
  run_key: number | null;
  node: string | null;
  dataset: string | null;
}

export interface PoolState {
  as_of: string | null;
  machines: Machine[];
  users: { owner: string | null; slots: number; cpus: number; memory_mb: number }[];
  /** The schedd's jobs by state, as the gateway last counted them. */
  jobs: Record<string, number | string | null> | null;
}

export interface PoolHealth {
  as_of: string;
  daemons: {
    name: string;
    host: string;
    state: string;
    age_s: number;
    fresh: boolean;
    facts: string;
    sentence: string;
  }[];
  logs: {
    schedd: string;
    events: number;
    event_at: string | null;
    lag_p50_s: number | null;
    lag_p99_s: number | null;
    updated_at: string;
  }[];
  console: { marks: number; oldest_s: number | null };
  /** Daemons without a heartbeat, and what that means for people. */
  silent?: { name: string; since: string | null; age_s: number | null; means: string }[];
}

export interface PreviewItem {
  key: string | number;
  name: string;
  will: string;
  why_not: string | null;
}

export interface ActionAnswer {
  summary: string;
  items: PreviewItem[];
  done: number;
  /** There is more: asked for again with it as `after`. */
  next?: string | null;
}
