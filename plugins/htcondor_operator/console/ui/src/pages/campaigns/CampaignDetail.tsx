/** One campaign: progress, rate, time to go, failures by kind, datasets that failed. */

import { Button, HStack, Stack } from "@chakra-ui/react";
import { useState } from "react";
import { Link as RouterLink } from "react-router-dom";

import { useMay, usePolled } from "../../api/queries";
import type { CampaignReport, Listing, Member } from "../../api/types";
import { findPath, pagePath } from "../../lib/links";
import { count, duration, stamp } from "../../lib/time";
import { ActionDialog, type ActionRequest } from "../../parts/ActionDialog";
import { Loaded } from "../../parts/Notice";
import { Facts, Section } from "../../parts/Section";
import { SmallTable } from "../../parts/SmallTable";
import { StackBar } from "../../parts/StackBar";
import { StateBadge } from "../../parts/StateBadge";
import { campaignActions, campaignRequest, campaignWords } from "./actions";

/** The campaign's state; with `onClose` it can be closed. */
export function CampaignDetail({ name, onClose }: { name: string; onClose?: () => void }) {
  const path = `campaigns/${encodeURIComponent(name)}`;
  const query = usePolled<CampaignReport>(path);
  const may = useMay("request");
  const [request, setRequest] = useState<ActionRequest | null>(null);
  return (
    <Loaded query={query} what={`campaign ${name}`}>
      {(report) => (
        <Section
          title={report.name}
          tools={
            <HStack gap="2">
              {may &&
                campaignActions(report.state).map((action) => (
                  <Button key={action} size="xs" variant="outline"
                    colorPalette={campaignWords(action).danger ? "red" : "gray"}
                    onClick={() => setRequest(campaignRequest(action, report))}>
                    {campaignWords(action).label}
                  </Button>
                ))}
              {onClose && <Button size="xs" variant="ghost" onClick={onClose}>Close</Button>}
            </HStack>
          }
        >
          <Report report={report} path={path} />
          <ActionDialog request={request} onClose={() => setRequest(null)} />
        </Section>
      )}
    </Loaded>
  );
}

const SHOWN_STATES = ["done", "running", "starting", "failed", "held", "removed", "cancelled", "refused", "unknown"];

function Report({ report, path }: { report: CampaignReport; path: string }) {
  const { counts } = report;
  const flow = `${pagePath("flow")}?campaign=${encodeURIComponent(report.name)}`;
  return (
    <Stack gap="3">
      <StackBar total={report.total} parts={SHOWN_STATES.map((state) => [state, counts[state] ?? 0] as const)} />
      <HStack gap="2" wrap="wrap">
        {Object.entries(counts)
          .filter(([, n]) => n > 0)
          .map(([state, n]) => (
            <StateBadge key={state} state={state}><strong>{count(n)}</strong></StateBadge>
          ))}
        <RouterLink className="owl-link" to={flow} style={{ fontSize: "0.75rem" }}>show its runs</RouterLink>
      </HStack>
      <HStack gap="8" align="flex-start" wrap="wrap">
        <Facts
          facts={[
            ["State", <StateBadge key="state" state={report.state} />],
            ["Ended", `${count(report.ended)} of ${count(report.total)}`],
            ["Rate", report.rate_per_hour === null ? "nothing has ended in the last hour" : `${count(report.rate_per_hour)} per hour`],
            ["To go", report.open === 0 ? "nothing" : report.eta_s === null ? "not known yet" : duration(report.eta_s)],
            ["Last end (UTC)", stamp(report.last_ended_at)],
          ]}
        />
        <Facts
          facts={[
            ["Type", report.type],
            ["Source", report.source],
            ["Made by", `${report.created_by}, ${stamp(report.created_at)} UTC`],
            ["Approved by", report.approved_by],
            ["Reason", report.reason],
          ]}
        />
      </HStack>
      {report.failures.length > 0 && (
        <Stack gap="3">
          <SmallTable
            label="Failures by kind"
            rows={report.failures}
            keyOf={(failure) => failure.kind}
            empty={null}
            columns={[
              { label: "Failures by kind", width: 340, className: "owl-wrap", cell: (failure) => failure.kind },
              { label: "Datasets", width: 90, className: "owl-num", cell: (failure) => count(failure.n) },
              { label: "For instance", className: "owl-mono", cell: (failure) => failure.for_instance },
            ]}
          />
          <Failed path={path} />
        </Stack>
      )}
    </Stack>
  );
}

function Failed({ path }: { path: string }) {
  const query = usePolled<Listing<Member>>(`${path}/members`, { state: "failed", limit: 50 });
  return (
    <Loaded query={query} what="the failed datasets">
      {(data) => (
        <SmallTable
          label="Failed datasets"
          rows={data.rows}
          keyOf={(member) => `${member.part} ${member.fileset}`}
          empty={null}
          columns={[
            {
              label: "Failed dataset",
              width: 160,
              className: "owl-mono",
              cell: (member) =>
                member.dag_id && member.run_id ? (
                  <RouterLink className="owl-link" to={findPath(member.dag_id, member.run_id)}>{member.fileset}</RouterLink>
                ) : (
                  member.fileset
                ),
            },
            { label: "Ended (UTC)", width: 150, className: "owl-num", cell: (member) => stamp(member.ended_at) },
            { label: "Note", className: "owl-wrap", cell: (member) => member.note },
          ]}
        />
      )}
    </Loaded>
  );
}
