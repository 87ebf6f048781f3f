/** One menu for all rows of a table: a menu per row costs seconds for some hundred rows. */

import { Menu, Portal } from "@chakra-ui/react";
import { useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router-dom";

export interface MenuAction {
  id: string;
  label: string;
  danger?: boolean;
  /** Where it goes. */
  to?: string;
  /** What it does. */
  run?: () => void;
}

export interface OpenMenu<Row> {
  row: Row;
  anchor: HTMLElement;
}

interface Props<Row> {
  open: OpenMenu<Row> | null;
  actionsOf: (row: Row) => MenuAction[];
  nameOf: (row: Row) => string;
  onClose: () => void;
}

/** The shared menu, at the row that asked for it. */
export function RowMenu<Row>({ open, actionsOf, nameOf, onClose }: Props<Row>) {
  const navigate = useNavigate();
  // While it closes it still shows what it showed.
  const [kept, keep] = useState(open);
  const anchor = useRef<HTMLElement | null>(null);
  useEffect(() => {
    if (open) {
      keep(open);
      anchor.current = open.anchor;
    }
  }, [open]);
  const shown = open ?? kept;
  const actions = shown ? actionsOf(shown.row) : [];
  const choose = (id: string): void => {
    const action = actions.find((one) => one.id === id);
    if (action?.to) void navigate(action.to);
    action?.run?.();
  };
  return (
    <Menu.Root
      open={open !== null}
      onOpenChange={(change) => {
        if (change.open) return;
        onClose();
        anchor.current?.focus();
      }}
      onSelect={(selected) => choose(selected.value)}
      positioning={{
        placement: "bottom-end",
        getAnchorRect: () => shown?.anchor.getBoundingClientRect() ?? null,
      }}
    >
      <Portal>
        <Menu.Positioner>
          <Menu.Content aria-label={shown ? `Controls of ${nameOf(shown.row)}` : "Controls"}>
            {actions.map((action) => (
              <Menu.Item key={action.id} value={action.id} color={action.danger ? "fg.error" : undefined}>
                {action.label}
              </Menu.Item>
            ))}
          </Menu.Content>
        </Menu.Positioner>
      </Portal>
    </Menu.Root>
  );
}
