/** Archive: products with their pictures, by dataset, target, instrument, date and cone. */

import { Box, Flex, HStack } from "@chakra-ui/react";

import type { Query } from "../../api/client";
import { useListing, usePolled } from "../../api/queries";
import type { FlowTotals, Product } from "../../api/types";
import { toQuery, useParams } from "../../lib/params";
import { AsOf } from "../../parts/AsOf";
import { Labelled, OneOf } from "../../parts/Choice";
import { EmptyNotice, ErrorNotice, Loading, useStandingError } from "../../parts/Notice";
import { FilterBar, filterNames, type FilterSpec } from "../../table/FilterBar";
import { Pager, usePaging } from "../../table/Pager";
import { SavedViews } from "../../table/SavedViews";
import { ProductCards } from "./ProductCards";

const keyOf = (row: Product): number => row.id;
const CONE = ["ra", "dec", "radius"] as const;
const SORTS = [
  { value: "-archived", label: "newest in the archive" },
  { value: "-observed", label: "observed last" },
  { value: "observed", label: "observed first" },
  { value: "dataset", label: "by dataset" },
];

/** A cone is asked for when all three numbers are there; until then the others count. */
export function withCone(query: Query): Query {
  const whole = CONE.every((name) => query[name] !== undefined && Number.isFinite(Number(query[name])));
  if (whole) return query;
  const rest = { ...query };
  for (const name of CONE) delete rest[name];
  return rest;
}

/** The page. */
export function ArchivePage() {
  const params = useParams();
  const paging = usePaging("archive", params);
  const facets = usePolled<FlowTotals>("flow/totals", {}, { every: 60_000 }).data?.instrument ?? {};
  const filters: FilterSpec[] = [
    { kind: "search", name: "dataset", label: "Dataset begins with", width: "11rem" },
    { kind: "text", name: "target", label: "Target", width: "9rem" },
    { kind: "one", name: "instrument", label: "Instrument", options: Object.keys(facets).sort().map((value) => ({ value })) },
    { kind: "time" },
    { kind: "text", name: "ra", label: "RA (deg)", width: "6rem" },
    { kind: "text", name: "dec", label: "Dec (deg)", width: "6rem" },
    { kind: "text", name: "radius", label: "Radius (deg)", width: "7rem" },
    { kind: "flag", name: "faulty", label: "with faults only" },
  ];
  const asked = toQuery(params.search, filterNames(filters));
  const sort = params.get("sort") || "-archived";
  const query = useListing<Product>(
    "products",
    { ...withCone(asked), sort, limit: paging.limit, cursor: paging.cursor || undefined },
    keyOf,
  );
  const error = useStandingError(query);
  const rows = query.data?.rows ?? [];
  const given = CONE.filter((name) => asked[name] !== undefined).length;
  return (
    <Flex direction="column" gap="2" height="100%" minH="0">
      <Flex gap="2" wrap="wrap" align="flex-start">
        <FilterBar filters={filters} params={params} />
        {given > 0 && given < 3 && (
          <Box fontSize="xs" color="fg.muted" pt="2">A cone needs RA, Dec and radius.</Box>
        )}
        <HStack gap="2" ms="auto">
          <AsOf query={query} />
          <Labelled label="Order">
            <OneOf label="Order" options={SORTS} value={sort} onChange={(value) => params.set({ sort: value })} />
          </Labelled>
          <SavedViews page="archive" params={params} />
        </HStack>
      </Flex>
      <Box flex="1" minH="0" overflow="auto">
        {error ? (
          <ErrorNotice error={error} onRetry={() => void query.refetch()} />
        ) : query.isPending ? (
          <Loading what="the archive" />
        ) : rows.length === 0 ? (
          <EmptyNotice title="No product fits">
            Clear the filters. Products come here when a run has ended well.
          </EmptyNotice>
        ) : (
          <ProductCards products={rows} withRun />
        )}
      </Box>
      <Pager paging={paging} next={query.data?.next ?? null} rows={rows.length} />
    </Flex>
  );
}
