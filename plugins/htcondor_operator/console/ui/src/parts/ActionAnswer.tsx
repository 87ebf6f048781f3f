/** What an action would do, or has done, thing by thing. */

import { Alert, Button, Dialog, Stack, Text } from "@chakra-ui/react";

import type { BulkAnswer } from "../api/bulk";
import type { ActionAnswer } from "../api/types";
import { Scrolled } from "./Scrolled";

const MOST_ITEMS = 200;

/** The answer of a preview or of an action; what was not possible comes first in an action's. */
export function Answer({ answer, label }: { answer: ActionAnswer; label: string }) {
  const shown = answer.items.slice(0, MOST_ITEMS);
  return (
    <Stack gap="2">
      <Text fontWeight="medium">{answer.summary}</Text>
      {shown.length > 0 && (
        <Scrolled label={label} maxH="40vh" borderWidth="1px" borderRadius="sm">
          <table className="owl-table" aria-label={label}>
            <thead>
              <tr>
                <th scope="col" style={{ width: "35%" }}>What</th>
                <th scope="col">Will</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((item) => (
                <tr key={item.key}>
                  <td className="owl-wrap">{item.name}</td>
                  <td className="owl-wrap">
                    {item.why_not === null ? (
                      item.will
                    ) : (
                      <span className="owl-muted">not possible: {item.why_not}</span>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolled>
      )}
      {answer.items.length > MOST_ITEMS && (
        <Text fontSize="xs" color="fg.muted">
          and {answer.items.length - MOST_ITEMS} more
        </Text>
      )}
    </Stack>
  );
}

/** Return what came of an action, in two or three words. */
export function outcomeWords(answer: BulkAnswer): string {
  const all = answer.items.length;
  const doubtful = answer.ended === null ? "" : ", not finished";
  if (all === 0) return answer.done > 0 ? `done${doubtful}` : `nothing was done${doubtful}`;
  const able = Math.min(answer.done, all);
  if (able === 0 && answer.ended === null) return "nothing was done";
  return able === all ? `done${doubtful}` : `${able} of ${all} done${doubtful}`;
}

/** What was done; with `onAgain` the rest can be looked at. */
export function Done(props: {
  answer: BulkAnswer;
  title: string;
  onClose: () => void;
  onAgain?: () => void;
}) {
  const { answer } = props;
  // What did not come about is what has to be read.
  const items = [...answer.items].sort((left, right) => Number(left.why_not === null) - Number(right.why_not === null));
  return (
    <>
      <Dialog.Header>
        <Dialog.Title>{props.title}: {outcomeWords(answer)}</Dialog.Title>
      </Dialog.Header>
      <Dialog.Body>
        <Stack gap="3">
          {answer.ended && (
            <Alert.Root status="warning" size="sm" role="alert">
              <Alert.Indicator />
              <Alert.Content>
                <Alert.Description>
                  {answer.ended}
                  {answer.left.length > 0 && ` ${answer.left.length} are left to look at.`}
                </Alert.Description>
              </Alert.Content>
            </Alert.Root>
          )}
          <Answer answer={{ ...answer, items }} label="What was done" />
        </Stack>
      </Dialog.Body>
      <Dialog.Footer>
        {props.onAgain && (
          <Button size="sm" colorPalette="blue" onClick={props.onAgain}>
            Show what is left
          </Button>
        )}
        <Button size="sm" variant={props.onAgain ? "outline" : "solid"} autoFocus onClick={props.onClose}>
          Close
        </Button>
      </Dialog.Footer>
    </>
  );
}
