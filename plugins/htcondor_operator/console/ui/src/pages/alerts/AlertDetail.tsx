import { Stack, Text } from "@chakra-ui/react";
import { Link as RouterLink } from "react-router-dom";

import { usePolled } from "../../api/queries";
import type { AlertDetail as Detail, AlertMessage, AlertRow } from "../../api/types";
import { stamp } from "../../lib/time";
import { EmptyNotice, Loaded } from "../../parts/Notice";
import { Facts } from "../../parts/Section";
import { SmallTable } from "../../parts/SmallTable";
import { aboutOf } from "./about";
import { channelState } from "./parts";

const said = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value) ?? "";

function facts(row: AlertRow): (readonly [string, React.ReactNode])[] {
  const place = aboutOf(row);
  return [
    ["look at", place && <RouterLink className="owl-link" to={place.to}>{place.label}</RouterLink>],
    ["workflows", row.dags.join(", ")],
    ["most it was", row.most > 1 ? row.most : null],
    ["open since", `${stamp(row.opened_at)} UTC`],
    ["over since", row.closed_at && `${stamp(row.closed_at)} UTC`],
    ["acknowledged", row.acked_by && `${row.acked_by}, ${stamp(row.acked_at)} UTC: ${row.ack_reason ?? ""}`],
    ...Object.entries(row.detail).map(([name, value]) => [name, said(value)] as const),
  ];
}

/** All that is known of an alert, and every message of it. */
export function AlertDetail({ row }: { row: AlertRow }) {
  const query = usePolled<Detail>(`alerts/${row.id}`);
  return (
    <Stack gap="3">
      <Facts facts={facts(row)} />
      {row.partly && (
        <Text fontSize="sm" color="fg.muted">
          It is also about runs that you may not read; the sample is left out, for it may be one of them.
        </Text>
      )}
      <Loaded query={query} what="the messages">
        {(data) => (
          <SmallTable<AlertMessage>
            label={`Messages of alert ${row.id}`}
            rows={data.messages}
            keyOf={(message) => message.id}
            empty={<EmptyNotice title="Nobody is told of it">No channel of include/alerts.yaml is for it.</EmptyNotice>}
            columns={[
              { label: "Channel", width: 140, cell: (message) => message.channel },
              { label: "Why", width: 90, cell: (message) => message.why },
              {
                label: "State",
                width: 90,
                cell: (message) => {
                  const { palette, word } = channelState(message);
                  return <span className={`owl-badge owl-badge-${palette}`}>{word}</span>;
                },
              },
              { label: "Told (UTC)", width: 150, className: "owl-num", cell: (message) => stamp(message.sent_at) },
              { label: "Tried", width: 60, className: "owl-num", cell: (message) => message.tries },
              { label: "Error", className: "owl-wrap", cell: (message) => message.error },
            ]}
          />
        )}
      </Loaded>
    </Stack>
  );
}
