import type { ReactNode } from "react";

import { FlowPage } from "../pages/flow/FlowPage";

export interface PageSpec {
  id: string;
  label: string;
  render: () => ReactNode;
}

/** The tabs, in the order of an operator's day. */
export const PAGES: PageSpec[] = [
  { id: "flow", label: "Data flow", render: () => <FlowPage /> },
];
