import { ChevronDown, ChevronRight, EllipsisVertical } from "lucide-react";
import { memo, type ReactNode } from "react";

import type { Column } from "./columns";

export interface RowActions<Row> {
  select: (row: Row, on: boolean, range: boolean) => void;
  expand: (row: Row, open: boolean) => void;
  menu: (row: Row, anchor: HTMLElement) => void;
  nameOf: (row: Row) => string;
  detail: (row: Row) => ReactNode;
  /** What the detail is called: "Nodes". */
  detailNoun: () => string;
}

/** Where a row is among all that the table has, drawn or not. */
interface Place {
  index: number;
  measure: ((element: HTMLElement | null) => void) | undefined;
}

/** The head is row 1. */
const ariaRow = (index: number): number => index + 2;

interface Props<Row> extends Place {
  id: string;
  row: Row;
  columns: readonly Column<Row>[];
  actions: RowActions<Row>;
  selectable: boolean;
  selected: boolean;
  expandable: boolean;
  expanded: boolean;
  hasMenu: boolean;
  /** No longer in the list; shown until the list is. */
  gone: boolean;
}

function Row<Data>(props: Props<Data>) {
  const { id, row, columns, actions, selected, expanded } = props;
  const name = actions.nameOf(row);
  return (
    <tr
      ref={props.measure}
      role="row"
      className={props.gone ? "owl-row owl-gone" : "owl-row"}
      title={props.gone ? "No longer in this list: what is said here is not refreshed." : undefined}
      data-key={id}
      data-index={props.index}
      aria-rowindex={ariaRow(props.index)}
      aria-selected={props.selectable ? selected : undefined}
      onContextMenu={
        props.hasMenu
          ? (event) => {
              // The browser's own menu stays for links and for selected text.
              if ((event.target as HTMLElement).closest("a") || String(getSelection())) return;
              event.preventDefault();
              actions.menu(row, event.currentTarget);
            }
          : undefined
      }
    >
      {props.selectable && (
        <td role="cell" className="owl-tool">
          <input
            type="checkbox"
            data-control="select"
            aria-label={`Select ${name}`}
            checked={selected}
            onChange={(event) =>
              actions.select(row, event.target.checked, (event.nativeEvent as MouseEvent).shiftKey)
            }
          />
        </td>
      )}
      {props.expandable && (
        <td role="cell" className="owl-tool">
          <button
            type="button"
            className="owl-icon-button"
            data-control="expand"
            aria-label={`${actions.detailNoun()} of ${name}`}
            aria-expanded={expanded}
            onClick={() => actions.expand(row, !expanded)}
          >
            {expanded ? <ChevronDown size={16} aria-hidden /> : <ChevronRight size={16} aria-hidden />}
          </button>
        </td>
      )}
      {columns.map((column) => (
        <td role="cell" key={column.id} className={column.className}>
          {column.cell(row)}
        </td>
      ))}
      {props.hasMenu && (
        <td role="cell" className="owl-pinned">
          <button
            type="button"
            className="owl-icon-button"
            data-control="menu"
            aria-haspopup="menu"
            aria-label={`Controls of ${name}`}
            onClick={(event) => actions.menu(row, event.currentTarget)}
          >
            <EllipsisVertical size={16} aria-hidden />
          </button>
        </td>
      )}
    </tr>
  );
}

interface DetailProps<Row> extends Place {
  row: Row;
  actions: RowActions<Row>;
}

function Detail<Data>({ row, actions, index, measure }: DetailProps<Data>) {
  return (
    <tr ref={measure} role="row" className="owl-detail" data-index={index} aria-rowindex={ariaRow(index)}>
      <td role="cell">
        <div className="owl-detail-view">{actions.detail(row)}</div>
      </td>
    </tr>
  );
}

/** One row; drawn again only when its own data, its choice or the columns change. */
export const TableRow = memo(Row) as typeof Row;
/** What an expanded row shows below itself. */
export const DetailRow = memo(Detail) as typeof Detail;
