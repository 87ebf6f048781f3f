import { Button, HStack } from "@chakra-ui/react";
import { X } from "lucide-react";

import { Labelled, MultiChoice, OneOf, TextFilter, type Option } from "../parts/Choice";
import type { Params } from "../lib/params";

export type FilterSpec =
  | { kind: "search"; name: string; label: string; width?: string }
  | { kind: "text"; name: string; label: string; width?: string }
  | { kind: "multi"; name: string; label: string; options: readonly Option[] }
  /** `none` says what is shown where nothing is chosen, if that is not everything. */
  | { kind: "one"; name: string; label: string; options: readonly Option[]; none?: string }
  /** Only a link sets it; here it is shown, and taken away. */
  | { kind: "hidden"; name: string; label: string }
  | { kind: "flag"; name: string; label: string }
  | { kind: "time" };

/** The names in the URL (and of the API) that a bar of filters uses. */
export function filterNames(filters: readonly FilterSpec[]): string[] {
  return filters.flatMap((filter) => (filter.kind === "time" ? ["since", "until"] : [filter.name]));
}

const SPANS: Option[] = [
  { value: "", label: "any time" },
  { value: "-1h", label: "last hour" },
  { value: "-24h", label: "last 24 hours" },
  { value: "-7d", label: "last 7 days" },
  { value: "-30d", label: "last 30 days" },
  { value: "from", label: "from … to …" },
];

/** The filters of a list, bound to the URL. */
export function FilterBar({ filters, params }: { filters: readonly FilterSpec[]; params: Params }) {
  const names = filterNames(filters);
  const active = names.some((name) => params.search.has(name));
  return (
    <HStack gap="2" wrap="wrap" role="search" aria-label="Filters">
      {filters.map((filter) => (
        <OneFilter key={filter.kind === "time" ? "time" : filter.name} filter={filter} params={params} />
      ))}
      {active && (
        <Button size="xs" variant="ghost" onClick={() => params.clear(names)}>
          <X size={14} aria-hidden /> Clear filters
        </Button>
      )}
    </HStack>
  );
}

function OneFilter({ filter, params }: { filter: FilterSpec; params: Params }) {
  switch (filter.kind) {
    case "search":
    case "text":
      return (
        <TextFilter
          label={filter.label}
          width={filter.width}
          icon={filter.kind === "search"}
          value={params.get(filter.name)}
          onChange={(value) => params.set({ [filter.name]: value.trim() })}
        />
      );
    case "multi":
      return (
        <MultiChoice
          label={filter.label}
          options={filter.options}
          value={params.all(filter.name)}
          onChange={(value) => params.set({ [filter.name]: value })}
        />
      );
    case "one":
      return (
        <OneOf
          label={filter.label}
          options={[{ value: "", label: `${filter.label}: ${filter.none ?? "any"}` }, ...filter.options]}
          value={params.get(filter.name)}
          onChange={(value) => params.set({ [filter.name]: value })}
        />
      );
    case "hidden":
      return params.get(filter.name) ? (
        <Button size="xs" variant="subtle" title={params.get(filter.name)}
          onClick={() => params.clear([filter.name])}>
          {filter.label} <X size={14} aria-label="take away" />
        </Button>
      ) : null;
    case "flag":
      return (
        <Labelled label={filter.label}>
          <input
            type="checkbox"
            checked={params.get(filter.name) === "1"}
            onChange={(event) => params.set({ [filter.name]: event.target.checked ? "1" : null })}
          />
        </Labelled>
      );
    case "time":
      return <TimeFilter params={params} />;
  }
}

/** `datetime-local` has no zone; the console's times are UTC. */
const toField = (value: string): string => (value.startsWith("-") ? "" : value.slice(0, 16));
const fromField = (value: string): string => (value ? `${value}:00Z` : "");

function TimeFilter({ params }: { params: Params }) {
  const since = params.get("since");
  const until = params.get("until");
  const preset = SPANS.some((span) => span.value === since) && !until;
  const choose = (value: string): void => {
    if (value === "from") {
      const day = new Date(Date.now() - 86_400_000).toISOString().slice(0, 16);
      params.set({ since: fromField(day), until: null });
    } else params.set({ since: value, until: null });
  };
  return (
    <HStack gap="1">
      <OneOf label="Time" options={SPANS} value={preset ? since : "from"} onChange={choose} />
      {!preset && (
        <>
          <input
            className="owl-field"
            type="datetime-local"
            aria-label="From (UTC)"
            value={toField(since)}
            onChange={(event) => params.set({ since: fromField(event.target.value) })}
          />
          <input
            className="owl-field"
            type="datetime-local"
            aria-label="To (UTC)"
            value={toField(until)}
            onChange={(event) => params.set({ until: fromField(event.target.value) })}
          />
        </>
      )}
    </HStack>
  );
}
