import { Button, HStack, Text } from "@chakra-ui/react";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { useRef } from "react";

import { OneOf } from "../parts/Choice";
import type { Params } from "../lib/params";
import { recall, remember } from "../lib/storage";
import { counted } from "../lib/time";

export const PAGE_SIZES = [25, 100, 500];
const USUAL_SIZE = 100;

export interface Paging {
  limit: number;
  cursor: string;
  page: number;
  setLimit: (limit: number) => void;
  next: (cursor: string) => void;
  previous: () => void;
}

/** Pages by cursor: the way back is the cursors that were used; after a reload it is the start. */
export function usePaging(table: string, params: Params): Paging {
  const cursor = params.get("cursor");
  const page = Math.max(1, Number(params.get("page")) || 1);
  const limit =
    PAGE_SIZES.find((size) => String(size) === params.get("limit")) ??
    recall(`limit.${table}`, USUAL_SIZE);
  const used = useRef<string[]>([]);
  return {
    limit,
    cursor,
    page,
    setLimit: (size) => {
      remember(`limit.${table}`, size);
      params.set({ limit: String(size) });
    },
    next: (following) => {
      used.current[page] = cursor;
      params.set({ cursor: following, page: String(page + 1) }, true);
    },
    previous: () => {
      const before = used.current[page - 1] ?? "";
      const number = before === "" ? null : String(page - 1);
      params.set({ cursor: before, page: number }, true);
    },
  };
}

/** Next, previous, how many, and the page's size. */
export function Pager(props: {
  paging: Paging;
  next: string | null;
  rows: number;
}) {
  const { paging, next, rows } = props;
  return (
    <HStack gap="3" fontSize="xs" ms="auto">
      <Text aria-live="polite" color="fg.muted">
        page {paging.page}: {counted(rows, "row")}
      </Text>
      <OneOf
        label="Rows per page"
        options={PAGE_SIZES.map((size) => ({ value: String(size), label: `${size} rows` }))}
        value={String(paging.limit)}
        onChange={(value) => paging.setLimit(Number(value))}
      />
      <Button size="xs" variant="outline" disabled={paging.page <= 1 && !paging.cursor} onClick={paging.previous}>
        <ChevronLeft size={14} aria-hidden /> Previous
      </Button>
      <Button size="xs" variant="outline" disabled={next === null}
        onClick={() => next !== null && paging.next(next)}>
        Next <ChevronRight size={14} aria-hidden />
      </Button>
    </HStack>
  );
}
