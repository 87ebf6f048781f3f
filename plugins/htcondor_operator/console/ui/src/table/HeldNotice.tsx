import { Button, HStack, Text } from "@chakra-ui/react";

import { count, counted } from "../lib/time";
import type { Held } from "./held";

/** Return what the list has that is not shown; empty: nothing. */
export function heldWords<Row>(held: Held<Row>, noun: string): string {
  const parts = [
    ...(held.fresh > 0 ? [`${counted(held.fresh, `new ${noun}`)}`] : []),
    ...(held.gone.size > 0 ? [`${count(held.gone.size)} no longer here`] : []),
  ];
  if (parts.length === 0 && held.moved) return "the order has changed";
  return parts.join(", ");
}

/** Tells of rows that are held back, and shows them. */
export function HeldNotice<Row>(props: { held: Held<Row>; noun: string; onShow: () => void }) {
  const words = heldWords(props.held, props.noun);
  return (
    <HStack gap="2" role="status" fontSize="xs">
      {words && (
        <>
          <Text fontWeight="medium">{words}</Text>
          <Button size="2xs" variant="surface" colorPalette="blue" onClick={props.onShow}
            title="The rows stay where they are while the pointer is over them, a menu is open or the list is scrolled">
            Show
          </Button>
        </>
      )}
    </HStack>
  );
}
