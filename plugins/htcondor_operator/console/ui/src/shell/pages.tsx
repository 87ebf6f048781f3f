import type { ReactNode } from "react";

import { AlertsPage } from "../pages/alerts/AlertsPage";
import { AlertBadge } from "../pages/alerts/parts";
import { ArchivePage } from "../pages/archive/ArchivePage";
import { CampaignsPage } from "../pages/campaigns/CampaignsPage";
import { ErrorsPage } from "../pages/errors/ErrorsPage";
import { FlowPage } from "../pages/flow/FlowPage";
import { PollersPage } from "../pages/pollers/PollersPage";
import { PoolPage } from "../pages/pool/PoolPage";
import { HistoryPage } from "../pages/queue/HistoryPage";
import { QueuePage } from "../pages/queue/QueuePage";

export interface PageSpec {
  id: string;
  label: string;
  render: () => ReactNode;
  /** Behind the label. */
  badge?: () => ReactNode;
}

/** The tabs, in the order of an operator's day. */
export const PAGES: PageSpec[] = [
  { id: "flow", label: "Data flow", render: () => <FlowPage /> },
  { id: "alerts", label: "Alerts", render: () => <AlertsPage />, badge: () => <AlertBadge /> },
  { id: "errors", label: "Errors", render: () => <ErrorsPage /> },
  { id: "queue", label: "Queue", render: () => <QueuePage /> },
  { id: "history", label: "History", render: () => <HistoryPage /> },
  { id: "pollers", label: "Pollers", render: () => <PollersPage /> },
  { id: "campaigns", label: "Campaigns", render: () => <CampaignsPage /> },
  { id: "pool", label: "Pool", render: () => <PoolPage /> },
  { id: "archive", label: "Archive", render: () => <ArchivePage /> },
];
