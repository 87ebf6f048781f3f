/** Campaigns: how far they are, at which rate, what fails in them, and what to do about it. */

import { useMemo } from "react";
import { Link as RouterLink } from "react-router-dom";

import { useMay } from "../../api/queries";
import type { Campaign } from "../../api/types";
import { campaignPath, pagePath } from "../../lib/links";
import { useParams } from "../../lib/params";
import { count, stamp } from "../../lib/time";
import { CAMPAIGN_STATES } from "../../lib/words";
import type { ActionRequest } from "../../parts/ActionDialog";
import type { MenuAction } from "../../parts/RowMenu";
import { StackBar } from "../../parts/StackBar";
import { StateBadge } from "../../parts/StateBadge";
import type { Column } from "../../table/columns";
import type { FilterSpec } from "../../table/FilterBar";
import { ListPage } from "../../table/ListPage";
import { campaignActions, campaignRequest, campaignWords } from "./actions";
import { CampaignDetail } from "./CampaignDetail";

const COLUMNS: Column<Campaign>[] = [
  {
    id: "name",
    label: "Campaign",
    width: 140,
    fixed: true,
    cell: (row) => <RouterLink className="owl-link" to={campaignPath(row.name)}>{row.name}</RouterLink>,
  },
  { id: "state", label: "State", width: 90, cell: (row) => <StateBadge state={row.state} /> },
  {
    id: "progress",
    label: "Progress",
    width: 200,
    grows: true,
    cell: (row) => (
      <div className="owl-barred">
        <StackBar total={row.total} parts={[["done", row.done], ["failed", row.failed]]} />
        {Math.floor((100 * (row.done + row.failed)) / Math.max(1, row.total))} %
      </div>
    ),
  },
  { id: "total", label: "Datasets", width: 76, className: "owl-num", cell: (row) => count(row.total) },
  { id: "open", label: "Open", width: 60, className: "owl-num", cell: (row) => count(row.open) },
  { id: "done", label: "Done", width: 60, className: "owl-num", cell: (row) => count(row.done) },
  {
    id: "failed",
    label: "Failed",
    width: 60,
    className: "owl-num",
    cell: (row) =>
      row.failed > 0 && (
        <RouterLink className="owl-link" to={`${pagePath("errors")}?campaign=${encodeURIComponent(row.name)}`}>
          {count(row.failed)}
        </RouterLink>
      ),
  },
  { id: "priority", label: "Priority", width: 66, className: "owl-num", cell: (row) => row.priority },
  { id: "type", label: "Type", width: 130, cell: (row) => row.type },
  { id: "source", label: "Source", width: 80, hidden: true, cell: (row) => row.source },
  { id: "by", label: "Made by", width: 80, cell: (row) => row.created_by },
  { id: "approved", label: "Approved by", width: 96, hidden: true, cell: (row) => row.approved_by },
  { id: "created", label: "Made (UTC)", width: 150, className: "owl-num", cell: (row) => stamp(row.created_at) },
  { id: "reason", label: "Reason", width: 160, grows: true, className: "owl-wrap", cell: (row) => row.reason },
];

const FILTERS: FilterSpec[] = [{ kind: "one", name: "state", label: "State", options: CAMPAIGN_STATES }];
const keyOf = (row: Campaign): string => row.name;
const detail = (row: Campaign) => <CampaignDetail name={row.name} />;

/** The page; `?name=` shows one campaign above the list. */
export function CampaignsPage() {
  const may = useMay("request");
  const operate = useMay("operate");
  const params = useParams();
  const name = params.get("name");
  const menu = useMemo(
    () =>
      (row: Campaign, open: (request: ActionRequest) => void): MenuAction[] => [
        { id: "open", label: "Open", to: campaignPath(row.name) },
        { id: "flow", label: "Show in the data flow", to: `${pagePath("flow")}?campaign=${encodeURIComponent(row.name)}` },
        ...(may ? campaignActions(row.state, operate) : []).map((action) => ({
          id: action,
          label: `${campaignWords(action).label}…`,
          danger: campaignWords(action).danger,
          run: () => open(campaignRequest(action, row, operate)),
        })),
      ],
    [may, operate],
  );
  return (
    <ListPage<Campaign>
      id="campaigns"
      label="Campaigns"
      noun="campaign"
      path="campaigns"
      columns={COLUMNS}
      filters={FILTERS}
      usualSort=""
      sortable={false}
      keyOf={keyOf}
      nameOf={keyOf}
      detail={detail}
      detailNoun="Members"
      actionsOf={menu}
      header={() => name && <CampaignDetail name={name} onClose={() => params.set({ name: null }, true)} />}
      empty={{
        title: "There is no campaign",
        words: "Make one with `owl campaign create`, by a backfill in Airflow, or deliver a request file.",
      }}
    />
  );
}
