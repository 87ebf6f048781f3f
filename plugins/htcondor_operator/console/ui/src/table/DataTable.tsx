/**
 * The table of every list page.
 *
 * Which columns there are and how they are sorted is TanStack Table's; a row is one memoised
 * component of plain elements, so that a refresh draws only rows that changed, and of long tables
 * only rows in view.
 */

import { Box } from "@chakra-ui/react";
import {
  getCoreRowModel,
  useReactTable,
  type ColumnDef,
  type SortingState,
} from "@tanstack/react-table";
import { ArrowDown, ArrowUp, Settings2 } from "lucide-react";
import { useMemo, useRef, type CSSProperties, type HTMLAttributes, type ReactNode, type RefObject } from "react";

import { tracks, type Column, type ColumnChoice } from "./columns";
import { itemsOf } from "./items";
import type { RowKey, Selection } from "./selection";
import { DetailRow, TableRow, type RowActions } from "./TableRow";
import { useDrawn } from "./useDrawn";
import { topOf, useScrollMemory } from "./useScrollMemory";

const TOOL_WIDTH = 32;

export interface DataTableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  choice: ColumnChoice;
  rows: readonly Row[];
  keyOf: (row: Row) => RowKey;
  /** What a screen reader calls a row. */
  nameOf: (row: Row) => string;
  sort: string;
  onSort?: (sort: string) => void;
  selection?: Selection;
  expanded?: ReadonlySet<RowKey>;
  onExpand?: (key: RowKey, open: boolean) => void;
  detail?: (row: Row) => ReactNode;
  /** What a row's detail is called: "Nodes". */
  detailNoun?: string;
  onMenu?: (row: Row, anchor: HTMLElement) => void;
  empty?: ReactNode;
  busy?: boolean;
  /** Rows that are no longer in the list. */
  gone?: ReadonlySet<RowKey>;
  /** Names the page of rows: its scroll position is kept. */
  place?: string;
  /** The element that scrolls, and for who watches it. */
  scroller?: RefObject<HTMLDivElement | null>;
  watch?: HTMLAttributes<HTMLDivElement>;
}

const NOTHING: ReadonlySet<RowKey> = new Set();

/** A table of one page of rows. */
export function DataTable<Row extends object>(props: DataTableProps<Row>) {
  const { columns, choice, rows, keyOf, selection, onMenu, detail } = props;
  const definitions = useMemo(
    (): ColumnDef<Row>[] =>
      columns.map((column) => ({
        id: column.id,
        header: column.label,
        size: column.width,
        enableSorting: column.sort !== undefined,
        enableHiding: !column.fixed,
        sortDescFirst: true,
        meta: column,
      })),
    [columns],
  );
  const sorting = useMemo(() => sortingOf(props.sort, columns), [props.sort, columns]);
  const table = useReactTable<Row>({
    data: rows as Row[],
    columns: definitions,
    getCoreRowModel: getCoreRowModel(),
    getRowId: (row) => String(keyOf(row)),
    manualSorting: true,
    manualPagination: true,
    enableSortingRemoval: false,
    state: {
      sorting,
      columnOrder: choice.order,
      columnVisibility: Object.fromEntries(choice.hidden.map((id) => [id, false])),
    },
    onSortingChange: (update) => {
      const next = typeof update === "function" ? update(sorting) : update;
      props.onSort?.(wordOf(next, columns));
    },
  });

  const leaves = table.getVisibleLeafColumns();
  const shape = leaves.map((column) => column.id).join(" ");
  const shown = useMemo(
    () => leaves.map((column) => column.columnDef.meta as Column<Row>),
    // eslint-disable-next-line -- `shape` stands for the columns' order and choice.
    [shape, columns],
  );

  // Rows keep these between refreshes, or every row would be drawn again.
  const latest = useRef(props);
  latest.current = props;
  const actions = useMemo(
    (): RowActions<Row> => ({
      select: (row, on, range) => {
        const now = latest.current;
        const keys = range ? now.rows.map(now.keyOf) : null;
        now.selection?.toggle(now.keyOf(row), on, keys);
      },
      expand: (row, open) => latest.current.onExpand?.(latest.current.keyOf(row), open),
      menu: (row, anchor) => latest.current.onMenu?.(row, anchor),
      nameOf: (row) => latest.current.nameOf(row),
      detail: (row) => latest.current.detail?.(row) ?? null,
      detailNoun: () => latest.current.detailNoun ?? "Details",
    }),
    [],
  );

  const expanded = props.expanded ?? NOTHING;
  const tools = Number(Boolean(selection)) + Number(Boolean(detail)) + Number(Boolean(onMenu));
  const width = shown.reduce((sum, column) => sum + column.width, tools * TOOL_WIDTH);
  const tool = `${TOOL_WIDTH}px`;
  const template = [
    ...(selection ? [tool] : []),
    ...(detail ? [tool] : []),
    ...tracks(shown),
    ...(onMenu ? [tool] : []),
  ].join(" ");
  const own = useRef<HTMLDivElement>(null);
  const scroller = props.scroller ?? own;
  const ordered = table.getRowModel().rows;
  const items = useMemo(
    () => itemsOf(ordered.map((row) => row.original), keyOf, expanded),
    [ordered, keyOf, expanded],
  );
  const drawn = useDrawn(items, rows.length, scroller, topOf(props.place));
  useScrollMemory(scroller, props.place);

  return (
    <Box ref={scroller} className="owl-scroll" data-partly={drawn.partly || undefined} flex="1" minH="0"
      borderWidth="1px" borderRadius="sm" tabIndex={0} role="region"
      aria-label={`${props.label}, scrollable`} {...props.watch}>
      <table role="table" className="owl-table owl-rows" aria-label={props.label} aria-busy={props.busy}
        aria-rowcount={items.length + 1}
        style={{ minWidth: width, "--owl-columns": template } as CSSProperties}>
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={1}>
            {selection && (
              <th role="columnheader" className="owl-tool">
                <SelectPage rows={rows} keyOf={keyOf} selection={selection} />
              </th>
            )}
            {detail && <th role="columnheader" className="owl-tool" aria-label="Details" />}
            {leaves.map((leaf) => {
              const column = leaf.columnDef.meta as Column<Row>;
              const sorted = leaf.getIsSorted();
              return (
                <th role="columnheader" key={leaf.id} className={column.className}
                  title={column.help ?? column.label}
                  aria-sort={sorted === "asc" ? "ascending" : sorted === "desc" ? "descending" : undefined}>
                  {leaf.getCanSort() && props.onSort ? (
                    <button type="button" onClick={() => leaf.toggleSorting()}>
                      {column.label} {sorted === "asc" && <ArrowUp size={12} style={ARROW} aria-hidden />}
                      {sorted === "desc" && <ArrowDown size={12} style={ARROW} aria-hidden />}
                    </button>
                  ) : (
                    column.label
                  )}
                </th>
              );
            })}
            {onMenu && (
              <th role="columnheader" className="owl-pinned" aria-label="Controls">
                <Settings2 size={14} style={ARROW} aria-hidden />
              </th>
            )}
          </tr>
        </thead>
        <tbody role="rowgroup" {...drawn.body}>
          {drawn.pieces.map((piece) => {
            if (piece.kind === "gap") {
              return <tr key={piece.id} role="presentation" className="owl-gap" style={{ height: piece.height }} />;
            }
            const item = items[piece.index];
            if (!item) return null;
            const { id, row, key } = item;
            const place = { index: piece.index, measure: drawn.measure };
            if (item.detail) return <DetailRow<Row> key={id} row={row} actions={actions} {...place} />;
            return (
              <TableRow<Row>
                key={id}
                id={id}
                row={row}
                columns={shown}
                actions={actions}
                selectable={selection !== undefined}
                selected={selection !== undefined && (selection.everything || selection.keys.has(key))}
                expandable={detail !== undefined}
                expanded={expanded.has(key)}
                hasMenu={onMenu !== undefined}
                gone={props.gone?.has(key) ?? false}
                {...place}
              />
            );
          })}
        </tbody>
      </table>
      {rows.length === 0 && props.empty}
    </Box>
  );
}

const ARROW = { display: "inline", verticalAlign: "middle" } as const;

function SelectPage<Row>(props: {
  rows: readonly Row[];
  keyOf: (row: Row) => RowKey;
  selection: Selection;
}) {
  const { rows, keyOf, selection } = props;
  const on = rows.filter((row) => selection.everything || selection.keys.has(keyOf(row))).length;
  const all = rows.length > 0 && on === rows.length;
  return (
    <input
      type="checkbox"
      aria-label="Select all rows of this page"
      checked={all}
      ref={(input) => {
        if (input) input.indeterminate = on > 0 && !all;
      }}
      onChange={(event) => selection.set(rows.map(keyOf), event.target.checked)}
    />
  );
}

/** Read `-updated` as TanStack's sorting of the column whose `sort` is `updated`. */
function sortingOf<Row>(sort: string, columns: readonly Column<Row>[]): SortingState {
  const name = sort.replace(/^-/, "");
  const column = columns.find((each) => each.sort === name);
  return column ? [{ id: column.id, desc: sort.startsWith("-") }] : [];
}

function wordOf<Row>(sorting: SortingState, columns: readonly Column<Row>[]): string {
  const [first] = sorting;
  const name = columns.find((column) => column.id === first?.id)?.sort ?? "";
  return first?.desc ? `-${name}` : name;
}
