/** Says of when the figures are, and warns when they are old. */

import { Button, HStack, Text } from "@chakra-ui/react";
import { RefreshCw, TriangleAlert } from "lucide-react";

import { useOlderThan } from "../lib/clock";
import { stamp } from "../lib/time";
import { errorWords } from "./Notice";

const STALE_S = 20;

interface Props {
  query: {
    data: unknown;
    dataUpdatedAt: number;
    error: Error | null;
    isFetching: boolean;
    refetch: () => unknown;
  };
}

/** "As of 12:34:56 UTC", a warning if that is long ago, and a button that asks again. */
export function AsOf({ query }: Props) {
  const asOf = (query.data as { as_of?: string | null } | undefined)?.as_of;
  // Null: what the figures come from has never been looked at.
  const at = asOf ? Date.parse(asOf) : asOf === null ? null : query.dataUpdatedAt;
  const old = useOlderThan(query.data === undefined ? null : at, STALE_S) || asOf === null;
  const failing = query.error !== null && query.data !== undefined;
  const time = at ? stamp(new Date(at).toISOString()).slice(11) : "";
  return (
    <HStack gap="1" fontSize="xs" color="fg.muted" whiteSpace="nowrap">
      {(old || failing) && (
        <Text role="status" color="orange.fg" display="inline-flex" gap="1" alignItems="center">
          <TriangleAlert size={14} aria-hidden />
          {failing
            ? `Not refreshed: ${errorWords(query.error).message}`
            : "These figures are old. Is OWL well? See Health on the Pool page."}
        </Text>
      )}
      {time && <Text as="span">as of {time} UTC</Text>}
      <Button
        size="2xs"
        variant="ghost"
        aria-label="Refresh now"
        title="Refresh now"
        loading={false}
        onClick={() => void query.refetch()}
      >
        <RefreshCw size={14} aria-hidden />
      </Button>
    </HStack>
  );
}
