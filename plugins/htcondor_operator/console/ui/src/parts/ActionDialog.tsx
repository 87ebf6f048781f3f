/**
 * What an action will do, before it is done.
 *
 * Opening it asks the server with `dry_run`; only when that answer is on the screen can the
 * action be confirmed. The real answer says what was done.
 */

import { Button, CloseButton, Dialog, HStack, Portal, Stack, Text } from "@chakra-ui/react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { perform, type Key } from "../api/bulk";
import { refresh } from "../api/queries";
import type { ActionAnswer } from "../api/types";
import { useDraft } from "../lib/draft";
import { keepFocus } from "../lib/focus";
import { sheet } from "../shell/styles";
import { announce, Announcer } from "./Announcer";
import { ErrorNotice, Loading } from "./Notice";
import { Scrolled } from "./Scrolled";

/** A further thing that an action needs. */
export type ActionField =
  | { name: string; label: string; kind: "number"; value: number; min?: number; max?: number }
  | { name: string; label: string; kind: "text"; value: string }
  | { name: string; label: string; kind: "flag"; value: boolean }
  | { name: string; label: string; kind: "choice"; value: string; options: string[] };

export interface ActionRequest {
  title: string;
  /** On the button that does it. */
  verb: string;
  path: string;
  body: Record<string, unknown>;
  /** The body's field for keys, and the keys or the way to find them. */
  keys?: { field: string; values: readonly Key[] | ((signal: AbortSignal) => Promise<Key[]>) };
  fields?: ActionField[];
  reasonRequired?: boolean;
  danger?: boolean;
  onDone?: () => void;
}

const MOST_ITEMS = 200;
const FOCUS_CHECKS_MS = [500, 2_000, 6_000];

type Values = Record<string, string | number | boolean>;

function startValues(request: ActionRequest): Values {
  return Object.fromEntries((request.fields ?? []).map((field) => [field.name, field.value]));
}

/** The dialog; shown while there is a request. */
export function ActionDialog(props: { request: ActionRequest | null; onClose: () => void }) {
  const { request, onClose } = props;
  useEffect(() => {
    if (request === null) return undefined;
    // The focus goes back to the button that opened it; which may go away with what was done.
    return () => {
      for (const later of FOCUS_CHECKS_MS) setTimeout(keepFocus, later);
    };
  }, [request]);
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
            <Announcer />
            {request && <Body request={request} onClose={onClose} />}
            <Dialog.CloseTrigger asChild>
              <CloseButton size="sm" aria-label="Dismiss" />
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

  const [progress, setProgress] = useState("");
  const tell = (done: number, all: number): void => setProgress(`${done} of ${all}`);
  const body = { ...request.body, ...values };
  const found = useQuery<readonly Key[] | null, Error>({
    queryKey: ["preview", "keys", request],
    queryFn: async ({ signal }) => {
      const wanted = request.keys?.values;
      return typeof wanted === "function" ? wanted(signal) : (wanted ?? null);
    },
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  });
  const written = {
    path: request.path,
    body,
    keys: request.keys && found.data ? { field: request.keys.field, values: found.data } : undefined,
  };
  // A reason that is needed is not there yet while the preview is made.
  const asked = request.reasonRequired ? "-" : null;
  const preview = useQuery<ActionAnswer, Error>({
    queryKey: ["preview", request.path, body, found.dataUpdatedAt],
    queryFn: ({ signal }) => perform(written, asked, true, tell, signal),
    enabled: found.isSuccess,
    // Always what is so now, never a kept answer; and not again by itself while it is read.
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  });
  const act = useMutation<ActionAnswer, Error>({
    mutationFn: () => perform(written, reason.trim() || null, false, tell),
    onSuccess: (answer) => {
      announce(`${request.title}: done. ${answer.summary}`);
      refresh(client);
      request.onDone?.();
    },
  });

  const summary = preview.data?.summary;
  useEffect(() => {
    if (summary) announce(`Preview: ${summary}`);
  }, [summary]);

  const failed = found.error ?? preview.error;
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
          {!failed && preview.isPending && <Loading what={`what would happen ${progress}`} />}
          {failed && (
            <ErrorNotice
              error={failed}
              onRetry={() => void (found.error ? found.refetch() : preview.refetch())}
            />
          )}
          {preview.data && <Answer answer={preview.data} />}
          <label>
            <Text fontSize="sm" as="span" display="block">
              Reason {request.reasonRequired ? "(needed)" : "(kept in the history of actions)"}
            </Text>
            <textarea
              className="owl-field"
              rows={2}
              maxLength={500}
              aria-required={request.reasonRequired || undefined}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          </label>
          {act.isPending && <Loading what={`what is done ${progress}`} />}
          {act.error && (
            // What was typed stays; the preview is of what is so now.
            <ErrorNotice
              error={act.error}
              retry="Look again at what would happen"
              onRetry={() => {
                act.reset();
                // Another time of the keys is another preview.
                void found.refetch();
              }}
            />
          )}
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
  values: Values;
  onChange: (values: Values) => void;
}) {
  const { request, values, onChange } = props;
  if (!request.fields?.length) return null;
  return (
    <HStack gap="4" wrap="wrap">
      {request.fields.map((field) => (
        <label key={field.name}>
          <Text fontSize="sm">{field.label}</Text>
          <Field
            field={field}
            value={values[field.name] ?? field.value}
            onChange={(value) => onChange({ ...values, [field.name]: value })}
          />
        </label>
      ))}
    </HStack>
  );
}

function Field(props: {
  field: ActionField;
  value: string | number | boolean;
  onChange: (value: string | number | boolean) => void;
}) {
  const { field, value, onChange } = props;
  switch (field.kind) {
    case "number":
      return <NumberField field={field} value={Number(value)} onChange={onChange} />;
    case "text":
      return <DraftField value={String(value)} onChange={onChange} />;
    case "flag":
      return (
        <input type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} />
      );
    case "choice":
      return (
        <select className="owl-field" value={String(value)} onChange={(event) => onChange(event.target.value)}>
          {field.options.map((option) => (
            <option key={option}>{option}</option>
          ))}
        </select>
      );
  }
}

/** Each change asks for a preview: after a pause in typing. */
function DraftField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [draft, setDraft] = useDraft(value, onChange);
  return <input className="owl-field" value={draft} onChange={(event) => setDraft(event.target.value)} />;
}

function NumberField(props: {
  field: { min?: number; max?: number };
  value: number;
  onChange: (value: number) => void;
}) {
  const [draft, setDraft] = useDraft(String(props.value), (text) => {
    if (text.trim() !== "" && Number.isInteger(Number(text))) props.onChange(Number(text));
  });
  return (
    <input className="owl-field" type="number" min={props.field.min} max={props.field.max} value={draft}
      onChange={(event) => setDraft(event.target.value)} />
  );
}

function Answer({ answer }: { answer: ActionAnswer }) {
  const shown = answer.items.slice(0, MOST_ITEMS);
  return (
    <Stack gap="2">
      <Text fontWeight="medium">{answer.summary}</Text>
      {shown.length > 0 && (
        <Scrolled label="What will happen" maxH="40vh" borderWidth="1px" borderRadius="sm">
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
