/**
 * What an action will do, before it is done.
 *
 * Opening it asks the server with `dry_run`; only when that answer is on the screen can the
 * action be confirmed. The real answer says what was done.
 */

import { Button, CloseButton, Dialog, Portal, Stack, Text } from "@chakra-ui/react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { perform, type BulkAnswer, type Key } from "../api/bulk";
import { ApiError, stayHere } from "../api/client";
import { refresh } from "../api/queries";
import { keepFocus } from "../lib/focus";
import { sheet } from "../shell/styles";
import { Answer, Done, outcomeWords } from "./ActionAnswer";
import { Fields, useFields, type ActionField } from "./ActionFields";
import { announce, Announcer } from "./Announcer";
import { ErrorNotice, Loading } from "./Notice";

export type { ActionField } from "./ActionFields";

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

const FOCUS_CHECKS_MS = [500, 2_000, 6_000];
const NO_FIELDS: ActionField[] = [];

/** The dialog; shown while there is a request. */
export function ActionDialog(props: { request: ActionRequest | null; onClose: () => void }) {
  const { request, onClose } = props;
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (request === null) return undefined;
    // A login that is over must not take away what was typed.
    const free = stayHere();
    return () => {
      free();
      setBusy(false);
    };
  }, [request]);
  useFocusAfter(request !== null);
  return (
    <Dialog.Root
      open={request !== null}
      size="lg"
      scrollBehavior="inside"
      closeOnEscape={!busy}
      closeOnInteractOutside={!busy}
      onOpenChange={(change) => {
        if (!change.open && !busy) onClose();
      }}
    >
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content css={sheet}>
            <Announcer place="dialog" />
            {request && <Rounds key={request.title} request={request} onBusy={setBusy} onClose={onClose} />}
            {!busy && (
              <Dialog.CloseTrigger asChild>
                <CloseButton size="sm" aria-label="Dismiss" />
              </Dialog.CloseTrigger>
            )}
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
}

/** The focus goes back to the button that opened the dialog; which may go away with what was done. */
function useFocusAfter(open: boolean): void {
  const opened = useRef(false);
  useEffect(() => {
    if (open) opened.current = true;
    if (open || !opened.current) return undefined;
    const checks = FOCUS_CHECKS_MS.map((later) => setTimeout(keepFocus, later));
    return () => checks.forEach(clearTimeout);
  }, [open]);
}

interface BodyProps {
  request: ActionRequest;
  onBusy: (busy: boolean) => void;
  onClose: () => void;
}

/** An action, and once more for what was left of it. */
function Rounds(props: BodyProps) {
  const { request } = props;
  const [reason, setReason] = useState("");
  const [left, setLeft] = useState<{ round: number; values: Key[] } | null>(null);
  const asked: ActionRequest =
    left && request.keys ? { ...request, keys: { field: request.keys.field, values: left.values } } : request;
  return (
    <Body {...props} key={left?.round ?? 0} request={asked} reason={reason} onReason={setReason}
      onLeft={(values) => setLeft({ round: (left?.round ?? 0) + 1, values })} />
  );
}

const BULK = 2;

function Body(
  props: BodyProps & { reason: string; onReason: (reason: string) => void; onLeft: (left: Key[]) => void },
) {
  const { request, onBusy, onClose, reason } = props;
  const client = useQueryClient();
  const fields = request.fields ?? NO_FIELDS;
  const draft = useFields(fields);
  const [progress, setProgress] = useState("");
  const stop = useRef(false);
  const [stopping, setStopping] = useState(false);
  // Nothing goes on behind a page that was left.
  useEffect(() => {
    stop.current = false;
    return () => {
      stop.current = true;
    };
  }, []);
  const tell = (done: number, all: number | null): void =>
    setProgress(all === null ? `${done} so far` : `${done} of ${all}`);
  const body = { ...request.body, ...draft.values };
  const [opened] = useState(() => Date.now());
  const found = useQuery<readonly Key[] | null, Error>({
    queryKey: ["preview", "keys", request.title, opened],
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
  const preview = useQuery<BulkAnswer, Error>({
    queryKey: ["preview", request.path, body, opened, found.dataUpdatedAt],
    queryFn: ({ signal }) => perform(written, asked, true, { progress: tell, signal }),
    enabled: found.isSuccess && draft.settled,
    // Always what is so now, never a kept answer; and not again by itself while it is read.
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: (count, error) =>
      count < 1 && error instanceof ApiError && error.status === 503 && error.kind !== "too_slow",
  });
  const act = useMutation<BulkAnswer, Error>({
    mutationFn: () =>
      perform(written, reason.trim() || null, false, { progress: tell, stopped: () => stop.current }),
    onMutate: () => onBusy(true),
    onSettled: () => onBusy(false),
    onSuccess: (answer) => {
      announce(`${request.title}: ${outcomeWords(answer)}. ${answer.summary}`, "dialog");
      refresh(client);
      request.onDone?.();
    },
  });

  const summary = draft.settled ? preview.data?.summary : undefined;
  useEffect(() => {
    if (summary) announce(`Preview: ${summary}`, "dialog");
  }, [summary]);

  const failed = found.error ?? (draft.settled ? preview.error : null);
  const possible = preview.data?.items.some((item) => item.why_not === null) ?? false;
  const ready =
    draft.settled && preview.isSuccess && possible && !act.isPending && (!request.reasonRequired || reason.trim());
  const count = found.data?.length ?? BULK;
  if (act.data) {
    const { left } = act.data;
    return (
      <Done answer={act.data} title={request.title} onClose={onClose}
        onAgain={left.length > 0 ? () => props.onLeft(left) : undefined} />
    );
  }
  return (
    <>
      <Dialog.Header>
        <Dialog.Title>{request.title}</Dialog.Title>
      </Dialog.Header>
      <Dialog.Body>
        <Stack gap="3">
          <Fields fields={fields} draft={draft} />
          {draft.settled && !failed && preview.isPending && <Loading what={`what would happen ${progress}`} />}
          {failed && (
            <ErrorNotice
              error={failed}
              onRetry={() => void (found.error ? found.refetch() : preview.refetch())}
            />
          )}
          {draft.settled && preview.data && <Answer answer={preview.data} label="What will happen" />}
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
              onChange={(event) => props.onReason(event.target.value)}
            />
          </label>
          {act.isPending && <Loading what={`what is done ${progress}`} />}
          {act.isPending && count >= BULK && (
            <Text fontSize="sm" role="status">
              {stopping
                ? "It stops after this part, and says what was done."
                : "It runs as long as this is open: what was done is shown here."}
            </Text>
          )}
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
        {act.isPending ? (
          count >= BULK && (
            <Button
              size="sm"
              variant="outline"
              disabled={stopping}
              onClick={() => {
                stop.current = true;
                setStopping(true);
              }}
            >
              Stop after this part
            </Button>
          )
        ) : (
          <Button size="sm" variant="outline" onClick={onClose}>
            Cancel
          </Button>
        )}
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
