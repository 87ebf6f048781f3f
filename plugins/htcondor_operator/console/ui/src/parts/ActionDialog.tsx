/**
 * What an action will do, before it is done.
 *
 * Opening it asks the server with `dry_run`; only when that answer is on the screen can the
 * action be confirmed. The real answer says what was done.
 */

import { Box, Button, CloseButton, Dialog, HStack, Portal, Stack, Text } from "@chakra-ui/react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { write } from "../api/client";
import { refresh } from "../api/queries";
import type { ActionAnswer } from "../api/types";
import { sheet } from "../shell/styles";
import { ErrorNotice, Loading } from "./Notice";

/** A further thing that an action needs. */
export type ActionField =
  | { name: string; label: string; kind: "number"; value: number; min?: number; max?: number }
  | { name: string; label: string; kind: "choice"; value: string; options: string[] };

export interface ActionRequest {
  title: string;
  /** On the button that does it. */
  verb: string;
  path: string;
  body: Record<string, unknown>;
  fields?: ActionField[];
  reasonRequired?: boolean;
  danger?: boolean;
  onDone?: () => void;
}

const MOST_ITEMS = 200;

function startValues(request: ActionRequest): Record<string, string | number> {
  return Object.fromEntries((request.fields ?? []).map((field) => [field.name, field.value]));
}

/** The dialog; shown while there is a request. */
export function ActionDialog(props: { request: ActionRequest | null; onClose: () => void }) {
  const { request, onClose } = props;
  return (
    <Dialog.Root
      open={request !== null}
      size="lg"
      scrollBehavior="inside"
      onOpenChange={(change) => {
        if (!change.open) onClose();
      }}
    >
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content css={sheet}>
            {request && <Body request={request} onClose={onClose} />}
            <Dialog.CloseTrigger asChild>
              <CloseButton size="sm" />
            </Dialog.CloseTrigger>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
}

function Body({ request, onClose }: { request: ActionRequest; onClose: () => void }) {
  const client = useQueryClient();
  const [reason, setReason] = useState("");
  const [values, setValues] = useState(() => startValues(request));
  useEffect(() => setValues(startValues(request)), [request]);

  const body = { ...request.body, ...values };
  const preview = useQuery<ActionAnswer, Error>({
    queryKey: ["preview", request.path, body],
    queryFn: () => write<ActionAnswer>(request.path, { ...body, reason: null, dry_run: true }),
    // Always what is so now, never a kept answer; and not again by itself while it is read.
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  });
  const act = useMutation<ActionAnswer, Error>({
    mutationFn: () =>
      write<ActionAnswer>(request.path, {
        ...body,
        reason: reason.trim() || null,
        dry_run: false,
        ...(preview.data?.token ? { token: preview.data.token } : {}),
      }),
    onSuccess: () => {
      refresh(client);
      request.onDone?.();
    },
  });

  const possible = preview.data?.items.some((item) => item.why_not === null) ?? false;
  const ready =
    preview.isSuccess && possible && !act.isPending && (!request.reasonRequired || reason.trim());
  if (act.data) return <Done answer={act.data} title={request.title} onClose={onClose} />;
  return (
    <>
      <Dialog.Header>
        <Dialog.Title>{request.title}</Dialog.Title>
      </Dialog.Header>
      <Dialog.Body>
        <Stack gap="3">
          <Fields request={request} values={values} onChange={setValues} />
          {preview.isPending && <Loading what="what would happen" />}
          {preview.error && (
            <ErrorNotice error={preview.error} onRetry={() => void preview.refetch()} />
          )}
          {preview.data && <Answer answer={preview.data} />}
          <label>
            <Text fontSize="sm">
              Reason {request.reasonRequired ? "(needed)" : "(kept in the history of actions)"}
            </Text>
            <textarea
              className="owl-field"
              rows={2}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          </label>
          {act.error && <ErrorNotice error={act.error} onRetry={() => void preview.refetch()} />}
        </Stack>
      </Dialog.Body>
      <Dialog.Footer>
        <Button size="sm" variant="outline" onClick={onClose}>
          Cancel
        </Button>
        <Button
          size="sm"
          colorPalette={request.danger ? "red" : "blue"}
          disabled={!ready}
          loading={act.isPending}
          onClick={() => act.mutate()}
        >
          {request.verb}
        </Button>
      </Dialog.Footer>
    </>
  );
}

function Fields(props: {
  request: ActionRequest;
  values: Record<string, string | number>;
  onChange: (values: Record<string, string | number>) => void;
}) {
  const { request, values, onChange } = props;
  if (!request.fields?.length) return null;
  return (
    <HStack gap="4" wrap="wrap">
      {request.fields.map((field) => (
        <label key={field.name}>
          <Text fontSize="sm">{field.label}</Text>
          {field.kind === "number" ? (
            <input
              className="owl-field"
              type="number"
              min={field.min}
              max={field.max}
              value={values[field.name] ?? field.value}
              onChange={(event) => {
                if (event.target.value === "") return;
                onChange({ ...values, [field.name]: Number(event.target.value) });
              }}
            />
          ) : (
            <select
              className="owl-field"
              value={values[field.name] ?? field.value}
              onChange={(event) => onChange({ ...values, [field.name]: event.target.value })}
            >
              {field.options.map((option) => (
                <option key={option}>{option}</option>
              ))}
            </select>
          )}
        </label>
      ))}
    </HStack>
  );
}

function Answer({ answer }: { answer: ActionAnswer }) {
  const shown = answer.items.slice(0, MOST_ITEMS);
  return (
    <Stack gap="2">
      <Text fontWeight="medium" role="status">
        {answer.summary}
      </Text>
      {shown.length > 0 && (
        <Box maxH="40vh" overflow="auto" borderWidth="1px" borderRadius="sm">
          <table className="owl-table" aria-label="What will happen">
            <thead>
              <tr>
                <th scope="col" style={{ width: "35%" }}>What</th>
                <th scope="col">Will</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((item) => (
                <tr key={item.key}>
                  <td>{item.key}</td>
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
        </Box>
      )}
      {answer.items.length > MOST_ITEMS && (
        <Text fontSize="xs" color="fg.muted">
          and {answer.items.length - MOST_ITEMS} more
        </Text>
      )}
    </Stack>
  );
}

function Done(props: { answer: ActionAnswer; title: string; onClose: () => void }) {
  return (
    <>
      <Dialog.Header>
        <Dialog.Title>{props.title}: done</Dialog.Title>
      </Dialog.Header>
      <Dialog.Body>
        <Answer answer={props.answer} />
      </Dialog.Body>
      <Dialog.Footer>
        <Button size="sm" autoFocus onClick={props.onClose}>
          Close
        </Button>
      </Dialog.Footer>
    </>
  );
}
