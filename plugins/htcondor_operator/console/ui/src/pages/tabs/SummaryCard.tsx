/** A card on Airflow's dashboard: how the data flows, and what fails most. */

import { Box, HStack, Heading, Spacer, Stack, Text } from "@chakra-ui/react";
import { Link as RouterLink } from "react-router-dom";

import { usePolled } from "../../api/queries";
import type { ErrorGroup, FlowTotals, Listing } from "../../api/types";
import { pagePath } from "../../lib/links";
import { count } from "../../lib/time";
import { RUN_STATES } from "../../lib/words";
import { AsOf } from "../../parts/AsOf";
import { Loaded } from "../../parts/Notice";
import { Silence } from "../../parts/Silence";
import { StateBadge } from "../../parts/StateBadge";
import { Severity, totalWords, useAlertTotals } from "../alerts/parts";

const MOST = 3;

/** The card. */
export function SummaryCard() {
  const totals = usePolled<FlowTotals>("flow/totals", {}, { every: 10_000 });
  const errors = usePolled<Listing<ErrorGroup>>("errors", {}, { every: 20_000 });
  const groups = (errors.data?.rows ?? []).filter((row) => row.accepted_by === null).slice(0, MOST);
  const alerts = useAlertTotals().data;
  return (
    <Box as="section" aria-label="OWL" borderWidth="1px" borderRadius="md" p="3">
      <HStack mb="2">
        <Heading as="h2" size="sm">
          <RouterLink className="owl-link" to={pagePath("flow")}>OWL: data flow</RouterLink>
        </Heading>
        <Spacer />
        <AsOf query={totals} />
      </HStack>
      <Loaded query={totals} what="the data flow">
        {(data) => (
          <Stack gap="2">
            <Silence />
            <HStack gap="2" wrap="wrap">
              {RUN_STATES.filter(({ value }) => (data.status[value] ?? 0) > 0).map(({ value }) => (
                <RouterLink key={value} to={`${pagePath("flow")}?status=${value}`}>
                  <StateBadge state={value}><strong>{count(data.status[value])}</strong></StateBadge>
                </RouterLink>
              ))}
              {Object.keys(data.status).length === 0 && (
                <Text fontSize="sm" color="fg.muted">No dataset has run yet.</Text>
              )}
            </HStack>
            {alerts && alerts.unacknowledged > 0 && (
              <HStack gap="2" fontSize="sm">
                <Severity severity={alerts.worst ?? "info"} />
                <RouterLink className="owl-link" to={pagePath("alerts")}>{totalWords(alerts)}</RouterLink>
              </HStack>
            )}
            {groups.map((row) => (
              <Text key={`${row.node} ${row.error_kind} ${row.fingerprint}`} fontSize="sm" truncate>
                <RouterLink className="owl-link" to={pagePath("errors")}>{count(row.n)}</RouterLink>{" "}
                {row.node} {row.exit_name ?? row.error_kind.replaceAll("_", " ")}
                {row.sample_message ? `: ${row.sample_message}` : ""}
              </Text>
            ))}
          </Stack>
        )}
      </Loaded>
    </Box>
  );
}
