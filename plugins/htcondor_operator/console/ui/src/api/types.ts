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

export interface Me {
  user: string;
  can: { operate: boolean; administer: boolean };
  version: string;
  workflows: string[];
  instruments: string[];
  exit_codes: Record<string, ExitWords>;
  nodes?: string[];
  error_kinds?: string[];
}

export interface Listing<Row> {
  rows: Row[];
  next: string | null;
  as_of: string | null;
  estimate: number | null;
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
  lag_s: number | null;
  nodes_total: number | null;
  nodes_done: number | null;
}

export interface FlowTotals {
  counts: Record<string, number>;
  facets?: Record<string, Record<string, number>>;
  as_of?: string | null;
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
  job_id: string | null;
}

export interface AuditEntry {
  at: string;
  who: string;
  action: string;
  reason: string | null;
  before?: unknown;
  after?: unknown;
  state?: string | null;
  subject?: string | null;
}

export interface RunDetail {
  run: FlowRow;
  attempts: Attempt[];
  nodes: NodeTry[];
  graph: { nodes: string[]; edges: [string, string][] } | null;
  actions: AuditEntry[];
  as_of: string | null;
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
  dataset: string;
  name: string;
  dataproduct_type: string | null;
  dataproduct_subtype?: string | null;
  calib_level: number | null;
  instrument_name: string | null;
  detector?: string | null;
  filters?: string | null;
  target_name: string | null;
  proposal_id?: string | null;
  s_ra: number | null;
  s_dec: number | null;
  t_exptime: number | null;
  observed_at: string | null;
  archived_at: string | null;
  bytes: number;
  sha256?: string | null;
  run_key: number | null;
  workflow?: string | null;
  reference_context?: string | null;
  reference_files?: Record<string, string> | null;
  software?: Record<string, string> | null;
  has_preview?: boolean;
}

export interface DatasetDetail {
  dataset: string;
  runs: FlowRow[];
  products: Product[];
  references: Record<string, string> | null;
  queue: QueueRow[];
  history: HistoryRow[];
  as_of?: string | null;
}

export interface ErrorGroup {
  node: string | null;
  error_kind: string | null;
  fingerprint: string;
  count: number;
  sample: string | null;
  exit_code?: number | null;
  exit_name?: string | null;
  exit_sentence?: string | null;
  first_at: string | null;
  last_at: string | null;
  run_keys: number[];
  accepted: { who: string; at: string; reason: string } | null;
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
  run_key?: number | null;
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
  dag_id: string;
  kind: string;
  directory: string | null;
  interval_s: number | null;
  state: string;
  beat_at: string | null;
  stale?: boolean;
  result_at: string | null;
  result: Record<string, unknown> | null;
  note: string | null;
  error: string | null;
  quarantined?: number;
}

export interface Quarantined {
  id: number;
  poller: string;
  name: string;
  directory: string;
  bytes: number;
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
  counts: Record<string, number>;
  failures_by_kind?: Record<string, number> | null;
  rate_per_hour: number | null;
  eta_s: number | null;
  source: string;
  reason: string | null;
  created_by: string;
  approved_by: string | null;
  created_at: string;
  updated_at: string;
}

export interface CampaignDetail extends Campaign {
  as_of?: string | null;
  detail?: Record<string, unknown> | null;
  actions?: AuditEntry[];
  members?: { fileset: string; state: string; note: string | null; run_key?: number | null }[];
}

export interface Slot {
  name: string;
  state: string;
  activity: string | null;
  cpus: number | null;
  memory_mb: number | null;
  user: string | null;
  dataset?: string | null;
  node?: string | null;
  run_key?: number | null;
}

export interface Machine {
  machine: string;
  state?: string | null;
  cpus: number | null;
  cpus_used: number | null;
  memory_mb: number | null;
  memory_used_mb: number | null;
  load: number | null;
  slots_running: number;
  slots_idle: number;
  joined_at?: string | null;
  last_heard_at: string | null;
  slots: Slot[];
}

export interface PoolState {
  as_of: string | null;
  machines: Machine[];
  jobs: { running: number; idle: number; held: number };
  users: { user: string; running: number; idle: number; held: number }[];
  changes?: { at: string; machine: string; change: string }[];
}

export interface DaemonHealth {
  name: string;
  state: string;
  beat_at: string | null;
  lag_s?: number | null;
  note?: string | null;
}

export interface PoolHealth {
  as_of: string | null;
  daemons: DaemonHealth[];
}

export interface PreviewItem {
  key: string | number;
  will: string;
  why_not: string | null;
}

export interface ActionAnswer {
  summary: string;
  items: PreviewItem[];
  token: string | null;
  done?: number;
}
