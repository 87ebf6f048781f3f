/** Says on every page, tab and card when a daemon is silent: then figures are old, or nothing is done. */

import { Alert, Link } from "@chakra-ui/react";
import { Link as RouterLink } from "react-router-dom";

import { usePolled } from "../api/queries";
import type { PoolHealth } from "../api/types";
import { pagePath } from "../lib/links";
import { duration } from "../lib/time";

const EVERY_MS = 5_000;

/** A banner for each daemon that has not said a word for too long. */
export function Silence() {
  const silent = usePolled<PoolHealth>("pool/health", {}, { every: EVERY_MS }).data?.silent ?? [];
  if (silent.length === 0) return null;
  return (
    <Alert.Root status="warning" size="sm" role="alert" flex="none">
      <Alert.Indicator />
      <Alert.Content>
        {silent.map((daemon) => (
          <Alert.Description key={daemon.name}>
            <strong>
              {daemon.age_s === null
                ? `The ${daemon.name} has never been heard of.`
                : `The ${daemon.name} has been silent for ${duration(daemon.age_s)}.`}
            </strong>{" "}
            {daemon.means}
          </Alert.Description>
        ))}
      </Alert.Content>
      <Link asChild fontSize="sm" alignSelf="center">
        <RouterLink to={`${pagePath("pool")}?view=health`}>Health</RouterLink>
      </Link>
    </Alert.Root>
  );
}
