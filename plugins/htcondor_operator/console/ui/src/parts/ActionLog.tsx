import type { AuditEntry } from "../api/types";
import { stamp } from "../lib/time";
import { EmptyNotice } from "./Notice";
import { SmallTable } from "./SmallTable";

/** Who did what, when and why. */
export function ActionLog({ actions }: { actions: readonly AuditEntry[] }) {
  return (
    <SmallTable
      label="History of actions"
      rows={actions}
      keyOf={(entry) => `${entry.at} ${entry.action} ${entry.what}`}
      empty={<EmptyNotice title="Nobody has done anything here yet" />}
      columns={[
        { label: "When (UTC)", width: 150, className: "owl-num", cell: (entry) => stamp(entry.at) },
        { label: "Who", width: 110, cell: (entry) => entry.who },
        { label: "Action", width: 130, cell: (entry) => entry.action.replaceAll("_", " ") },
        { label: "Details", width: 300, className: "owl-wrap", cell: (entry) => entry.what },
        { label: "Reason", className: "owl-wrap", cell: (entry) => entry.reason },
      ]}
    />
  );
}
