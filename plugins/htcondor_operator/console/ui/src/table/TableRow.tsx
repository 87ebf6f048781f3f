import { ChevronDown, ChevronRight, EllipsisVertical } from "lucide-react";
import { memo, type ReactNode } from "react";

import type { Column } from "./columns";

export interface RowActions<Row> {
  select: (row: Row, on: boolean, range: boolean) => void;
  expand: (row: Row, open: boolean) => void;
  menu: (row: Row, anchor: HTMLElement) => void;
  nameOf: (row: Row) => string;
  detail: (row: Row) => ReactNode;
}

interface Props<Row> {
  id: string;
  row: Row;
  columns: readonly Column<Row>[];
  actions: RowActions<Row>;
  selectable: boolean;
  selected: boolean;
  expandable: boolean;
  expanded: boolean;
  hasMenu: boolean;
}

function Row<Data>(props: Props<Data>) {
  const { id, row, columns, actions, selected, expanded } = props;
  const name = actions.nameOf(row);
  return (
    <>
      <tr
        role="row"
        className="owl-row"
        data-key={id}
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
              aria-label={`Nodes of ${name}`}
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
      {expanded && (
        <tr role="row" className="owl-detail">
          <td role="cell">{actions.detail(row)}</td>
        </tr>
      )}
    </>
  );
}

/** One row; drawn again only when its own data, its choice or the columns change. */
export const TableRow = memo(Row) as typeof Row;
