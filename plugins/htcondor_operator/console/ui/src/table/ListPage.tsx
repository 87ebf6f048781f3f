/** A page that is a list: filters, bulk actions, the table and its pages, live. */

import { Button, Flex, HStack, Text } from "@chakra-ui/react";
import { createContext, useCallback, useContext, useMemo, useRef, useState, type ReactNode } from "react";

import { allKeys } from "../api/bulk";
import type { Query } from "../api/client";
import { resolveTimes, useListing } from "../api/queries";
import { toQuery, useParams, type Params } from "../lib/params";
import { count, counted, nouns } from "../lib/time";
import { ActionDialog, type ActionRequest } from "../parts/ActionDialog";
import { AsOf } from "../parts/AsOf";
import { EmptyNotice, ErrorNotice, Loading, useStandingError } from "../parts/Notice";
import { RowMenu, type MenuAction, type OpenMenu } from "../parts/RowMenu";
import { ColumnsMenu } from "./ColumnsMenu";
import { useColumnChoice, type Column } from "./columns";
import { DataTable } from "./DataTable";
import { FilterBar, filterNames, type FilterSpec } from "./FilterBar";
import { Pager, usePaging } from "./Pager";
import { SavedViews } from "./SavedViews";
import { HeldNotice } from "./HeldNotice";
import { useEngaged, useHeld } from "./held";
import { useSelection, type RowKey } from "./selection";

/** What a bulk action is about: named rows, or everything that fits the filter. */
export interface Chosen {
  keys: readonly RowKey[] | ((signal: AbortSignal) => Promise<RowKey[]>);
  /** "12 runs" */
  words: string;
}

export interface BulkAction {
  id: string;
  label: string;
  danger?: boolean;
  request: (chosen: Chosen) => ActionRequest;
}

const OpenAction = createContext<(request: ActionRequest) => void>(() => undefined);

/** For a cell with a control of its own: opens the page's dialog. */
export const useOpenAction = (): ((request: ActionRequest) => void) => useContext(OpenAction);

const NO_ROWS: never[] = [];

interface Props<Row> {
  /** Names the page in the browser's memory. */
  id: string;
  label: string;
  /** What one row is called: "run". */
  noun: string;
  path: string;
  columns: readonly Column<Row>[];
  filters: readonly FilterSpec[];
  usualSort: string;
  sortable?: boolean;
  keyOf: (row: Row) => RowKey;
  nameOf: (row: Row) => string;
  bulk?: readonly BulkAction[];
  /** Whether everything that fits the filter can be selected. */
  bulkByFilter?: boolean;
  actionsOf?: (row: Row, open: (request: ActionRequest) => void) => MenuAction[];
  detail?: (row: Row) => ReactNode;
  detailNoun?: string;
  header?: (params: Params) => ReactNode;
  empty: { title: string; words: string };
  extra?: Query;
  /** Says the filters as the route wants them. */
  adapt?: (query: Query) => Query;
}

/** A list page; everything that defines it is in the props. */
export function ListPage<Row extends object>(props: Props<Row>) {
  const { id, columns, filters, keyOf, nameOf } = props;
  const params = useParams();
  const paging = usePaging(id, params);
  const names = useMemo(() => filterNames(filters), [filters]);
  const sort = params.get("sort") || props.usualSort;
  const asked = toQuery(params.search, names);
  const wanted = props.adapt ? props.adapt(asked) : asked;
  const page: Query = {
    ...wanted,
    ...props.extra,
    sort: props.sortable === false ? undefined : sort,
    limit: paging.limit,
    cursor: paging.cursor || undefined,
  };
  const query = useListing<Row>(props.path, page, keyOf);
  const [choice, setChoice] = useColumnChoice(id, columns);
  const selection = useSelection(JSON.stringify(wanted));
  const [expanded, setExpanded] = useState<ReadonlySet<RowKey>>(new Set());
  const [menu, setMenu] = useState<OpenMenu<Row> | null>(null);
  const [request, setRequest] = useState<ActionRequest | null>(null);
  const engaged = useEngaged();
  const { release } = engaged;
  const scroller = useRef<HTMLDivElement>(null);
  const ask = useCallback(
    (wanted: ActionRequest) =>
      setRequest({
        ...wanted,
        // Who has done something wants to see what became of it.
        onDone: () => {
          wanted.onDone?.();
          release();
        },
      }),
    [release],
  );
  const onExpand = useCallback(
    (key: RowKey, open: boolean) =>
      setExpanded((before) => {
        const next = new Set(before);
        if (open) next.add(key);
        else next.delete(key);
        return next;
      }),
    [],
  );

  const error = useStandingError(query);
  // The rows of the place before are shown until those of this one are there.
  const place = query.isPlaceholderData ? "" : `${id} ${JSON.stringify(page)}`;
  const using = engaged.on || menu !== null || request !== null;
  const held = useHeld<Row>(query.data?.rows ?? NO_ROWS, keyOf, using, place);
  const rows = held.rows;
  const chosen: Chosen = selection.everything
    ? {
        keys: (signal) =>
          allKeys<Row>(props.path, resolveTimes({ ...wanted, ...props.extra }), keyOf, signal),
        words: `all ${nouns(props.noun)} that fit the filter`,
      }
    : { keys: [...selection.keys], words: counted(selection.size, props.noun) };
  const bulk = props.bulk ?? [];
  return (
    <OpenAction.Provider value={ask}>
    <Flex direction="column" gap="2" height="100%" minH="20rem">
      {props.header?.(params)}
      <Flex gap="2" align="flex-start" wrap="wrap">
        <FilterBar filters={filters} params={params} />
        <HStack gap="2" ms="auto">
          <AsOf query={query} />
          <SavedViews page={id} params={params} />
          <ColumnsMenu columns={columns} choice={choice} onChange={setChoice} />
        </HStack>
      </Flex>
      {error ? (
        <ErrorNotice error={error} onRetry={() => void query.refetch()} />
      ) : query.isPending ? (
        <Loading what={props.label.toLowerCase()} />
      ) : (
        <DataTable<Row>
          label={props.label}
          columns={columns}
          choice={choice}
          rows={rows}
          keyOf={keyOf}
          nameOf={nameOf}
          sort={sort}
          onSort={props.sortable === false ? undefined : (next) => params.set({ sort: next })}
          selection={bulk.length > 0 ? selection : undefined}
          expanded={expanded}
          onExpand={props.detail ? onExpand : undefined}
          detail={props.detail}
          detailNoun={props.detailNoun}
          onMenu={props.actionsOf ? (row, anchor) => setMenu({ row, anchor }) : undefined}
          busy={query.isPlaceholderData}
          gone={held.gone}
          place={place || undefined}
          scroller={scroller}
          watch={engaged.watch}
          empty={<EmptyNotice title={props.empty.title}>{props.empty.words}</EmptyNotice>}
        />
      )}
      {/* Below the table: what comes and goes here must not move the rows. */}
      <Flex flex="none" gap="2" wrap="wrap" align="center">
        {(selection.size > 0 || selection.everything) && bulk.length > 0 && (
          <HStack gap="2" wrap="wrap" bg="bg.info" borderRadius="sm" px="2" py="1" role="toolbar"
            aria-label="Actions on the selection">
            <Text fontSize="sm" fontWeight="medium" aria-live="polite">
              {selection.everything ? `All ${nouns(props.noun)} that fit` : `${count(selection.size)} selected`}
            </Text>
            {bulk.map((action) => (
              <Button key={action.id} size="xs" variant="surface"
                colorPalette={action.danger ? "red" : "gray"}
                onClick={() => {
                  const asked = action.request(chosen);
                  ask({ ...asked, onDone: selection.clear });
                }}>
                {action.label}…
              </Button>
            ))}
            {props.bulkByFilter && !selection.everything && query.data?.next && (
              <Button size="xs" variant="ghost" onClick={selection.selectEverything}>
                Select all that fit the filter
              </Button>
            )}
            <Button size="xs" variant="ghost" onClick={selection.clear}>
              Clear selection
            </Button>
          </HStack>
        )}
        <HeldNotice held={held} noun={props.noun} onShow={() => {
          release();
          scroller.current?.scrollTo({ top: 0 });
        }} />
        <Pager paging={paging} next={query.data?.next ?? null} rows={rows.length} />
      </Flex>
      {props.actionsOf && (
        <RowMenu
          open={menu}
          nameOf={nameOf}
          actionsOf={(row) => props.actionsOf?.(row, ask) ?? []}
          onClose={() => setMenu(null)}
        />
      )}
      <ActionDialog request={request} onClose={() => setRequest(null)} />
    </Flex>
    </OpenAction.Provider>
  );
}
