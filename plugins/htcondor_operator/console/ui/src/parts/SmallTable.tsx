/** A table of a few rows: same look as the lists, no pages, no choice. */

import type { ReactNode } from "react";

import { Scrolled } from "./Scrolled";

export interface SmallColumn<Row> {
  label: string;
  width?: number;
  className?: string;
  cell: (row: Row) => ReactNode;
}

interface Props<Row> {
  label: string;
  columns: readonly SmallColumn<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string | number;
  empty: ReactNode;
}

/** Of the column that takes what is left. */
const LEAST_REST = 160;

/** The table. */
export function SmallTable<Row>({ label, columns, rows, keyOf, empty }: Props<Row>) {
  if (rows.length === 0) return <>{empty}</>;
  const width = columns.reduce((sum, column) => sum + (column.width ?? LEAST_REST), 0);
  return (
    <Scrolled label={label}>
      <table className="owl-table" aria-label={label} style={{ minWidth: width }}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.label} scope="col" className={column.className} style={{ width: column.width }}>
                {column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} className="owl-row">
              {columns.map((column) => (
                <td key={column.label} className={column.className}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolled>
  );
}
