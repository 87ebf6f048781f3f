/** What is shown when there is nothing to show: an error or an empty list, and what to do. */

import { Alert, Box, Button, EmptyState, HStack, Spinner, Text, VStack } from "@chakra-ui/react";
import { Inbox } from "lucide-react";
import { useRef, type ReactNode } from "react";

import { ApiError } from "../api/client";

/** Words for an error of any sort. */
export function errorWords(error: unknown): { kind: string; message: string } {
  if (error instanceof ApiError) return { kind: error.kind, message: error.message };
  return { kind: "internal", message: error instanceof Error ? error.message : String(error) };
}

interface ErrorProps {
  error: unknown;
  onRetry?: () => void;
  /** On the button. */
  retry?: string;
}

/** An error with its kind, its message and a way to try again. */
export function ErrorNotice({ error, onRetry, retry = "Try again" }: ErrorProps) {
  const { kind, message } = errorWords(error);
  return (
    <Alert.Root status="error" role="alert">
      <Alert.Indicator />
      <Alert.Content>
        <Alert.Title>{kind.replaceAll("_", " ")}</Alert.Title>
        <Alert.Description>{message}</Alert.Description>
      </Alert.Content>
      {onRetry && (
        <Button size="xs" variant="outline" onClick={onRetry}>
          {retry}
        </Button>
      )}
    </Alert.Root>
  );
}

/** An empty list: what it would show and what to do. */
export function EmptyNotice(props: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <EmptyState.Root size="sm">
      <EmptyState.Content>
        <EmptyState.Indicator>
          <Inbox aria-hidden />
        </EmptyState.Indicator>
        <VStack textAlign="center" gap="1">
          <EmptyState.Title>{props.title}</EmptyState.Title>
          {props.children && <EmptyState.Description>{props.children}</EmptyState.Description>}
        </VStack>
        {props.action}
      </EmptyState.Content>
    </EmptyState.Root>
  );
}

/** Shown while the first answer is on its way. */
export function Loading({ what }: { what: string }) {
  return (
    <HStack p="6" color="fg.muted" role="status">
      <Spinner size="sm" />
      <Text>Loading {what}…</Text>
    </HStack>
  );
}

interface Answer<T> {
  data: T | undefined;
  error: Error | null;
  refetch: () => unknown;
}

/**
 * Return the error of a query that has no data, until it has.
 *
 * While it asks again the query itself knows of no error: the notice would go and come with each
 * poll, and a screen reader would read it each time.
 */
export function useStandingError(query: Pick<Answer<unknown>, "data" | "error">): Error | null {
  const last = useRef<Error | null>(null);
  if (query.data !== undefined) last.current = null;
  else if (query.error) last.current = query.error;
  return last.current;
}

/** Shows the children with the data; before that what is loading, or the error. */
export function Loaded<T>(props: {
  query: Answer<T>;
  what: string;
  children: (data: T) => ReactNode;
}) {
  const { query, what, children } = props;
  const error = useStandingError(query);
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (error) {
    return (
      <Box p="3">
        <ErrorNotice error={error} onRetry={() => void query.refetch()} />
      </Box>
    );
  }
  return <Loading what={what} />;
}
