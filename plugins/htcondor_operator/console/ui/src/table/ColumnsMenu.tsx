import { Button, HStack, Popover, Portal, Stack, Text } from "@chakra-ui/react";
import { ArrowDown, ArrowUp, Columns3 } from "lucide-react";

import { sheet } from "../shell/styles";
import { moved, type Column, type ColumnChoice } from "./columns";

interface Props<Row> {
  columns: readonly Column<Row>[];
  choice: ColumnChoice;
  onChange: (choice: ColumnChoice | null) => void;
}

/** Which columns are shown, and their order. */
export function ColumnsMenu<Row>({ columns, choice, onChange }: Props<Row>) {
  const labels = new Map(columns.map((column) => [column.id, column.label]));
  const fixed = new Set(columns.filter((column) => column.fixed).map((column) => column.id));
  const show = (id: string, on: boolean): void =>
    onChange({
      ...choice,
      hidden: on ? choice.hidden.filter((other) => other !== id) : [...choice.hidden, id],
    });
  const move = (id: string, by: -1 | 1): void =>
    onChange({ ...choice, order: moved(choice.order, id, by) });
  return (
    <Popover.Root positioning={{ placement: "bottom-end" }}>
      <Popover.Trigger asChild>
        <Button size="xs" variant="outline">
          <Columns3 size={14} aria-hidden /> Columns
        </Button>
      </Popover.Trigger>
      <Portal>
        <Popover.Positioner>
          <Popover.Content css={sheet} width="18rem">
            <Popover.Body maxH="65vh" overflowY="auto" p="3">
              <HStack justify="space-between" mb="2">
                <Popover.Title fontWeight="semibold">Columns</Popover.Title>
                <Button size="2xs" variant="ghost" onClick={() => onChange(null)}>
                  As at first
                </Button>
              </HStack>
              <Stack gap="0" role="list">
                {choice.order.map((id) => (
                  <HStack key={id} justify="space-between" role="listitem" fontSize="sm">
                    <label style={{ display: "flex", gap: 8, flex: 1 }}>
                      <input
                        type="checkbox"
                        checked={!choice.hidden.includes(id)}
                        disabled={fixed.has(id)}
                        onChange={(event) => show(id, event.target.checked)}
                      />
                      <Text as="span">{labels.get(id)}</Text>
                    </label>
                    <button type="button" className="owl-icon-button"
                      aria-label={`Move ${labels.get(id)} to the left`} onClick={() => move(id, -1)}>
                      <ArrowUp size={14} aria-hidden />
                    </button>
                    <button type="button" className="owl-icon-button"
                      aria-label={`Move ${labels.get(id)} to the right`} onClick={() => move(id, 1)}>
                      <ArrowDown size={14} aria-hidden />
                    </button>
                  </HStack>
                ))}
              </Stack>
            </Popover.Body>
          </Popover.Content>
        </Popover.Positioner>
      </Portal>
    </Popover.Root>
  );
}
