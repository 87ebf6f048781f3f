/** Talks to `/owl/api`, relative to the page's `<base href>`: Airflow may stand behind a path. */

/** An answer that is not what was asked for, with words for the operator. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export type QueryValue = string | number | boolean | null | undefined | readonly (string | number)[];
export type Query = Record<string, QueryValue>;

const WORDS: Record<number, string> = {
  0: "The server does not answer. OWL goes on trying; if it stays so, look at `owl status`.",
  403: "Your role does not allow this. Ask an Airflow administrator for the permission.",
  404: "This does not exist (any more). Go back to the list.",
  409: "Something changed meanwhile. Look at the new state and try again.",
  413: "This is too much at once. Choose fewer rows.",
  422: "The server does not understand this value. Correct it and try again.",
  429: "Too many requests. OWL goes on in a moment.",
  500: "The server made a mistake. Its log (api-server) says which.",
  502: "Something between you and the server has failed. OWL goes on trying.",
  503: "The server cannot do this now. Try again in a moment.",
  504: "The answer took too long. Narrow the filters or the time, or try again in a moment.",
};
/** A server that has gone without a word answers never: a browser alone would wait for ever. */
export const READ_PATIENCE_MS = 45_000;
export const WRITE_PATIENCE_MS = 180_000;
const UNKNOWN_OUTCOME =
  "The server has not answered: it is not known whether this was done. Look at the state before you try again.";
const LOGIN_OVER =
  "Your login is over. Log in again in another tab and go on here: what you typed stays.";
const UNANSWERED: ReadonlySet<number> = new Set([0, 502, 504]);

/** Return the absolute URL of a route of the console's API. */
export function apiUrl(path: string, query: Query = {}): string {
  const url = new URL(`owl/api/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    const values = Array.isArray(value) ? value : [value];
    for (const one of values) {
      if (one !== null && one !== undefined && one !== "") url.searchParams.append(name, String(one));
    }
  }
  return url.href;
}

/** Return where a browser without a login goes, to come back to where it is. */
export function loginUrl(): string {
  const url = new URL("api/v2/auth/login", document.baseURI);
  url.searchParams.set("next", window.location.href);
  return url.href;
}

export const leave = { to: (url: string): void => window.location.assign(url) };

let stays = 0;

/** Keep the page although the login is over, as long as something is typed; return what ends it. */
export function stayHere(): () => void {
  let over = false;
  stays += 1;
  return () => {
    if (!over) stays -= 1;
    over = true;
  };
}

interface Detail {
  kind?: string;
  message?: string;
}

function detailOf(body: unknown, status: number): { kind: string; message: string } {
  const fallback = WORDS[status] ?? `The server answered ${status}.`;
  const detail = (body as { detail?: unknown } | null)?.detail;
  if (typeof detail === "string") return { kind: `http_${status}`, message: detail };
  // FastAPI's own answer to a field of a wrong type.
  if (Array.isArray(detail)) {
    const first = detail[0] as { loc?: unknown[]; msg?: string } | undefined;
    return { kind: "bad_field", message: `${first?.loc?.join(".") ?? "field"}: ${first?.msg ?? fallback}` };
  }
  const { kind, message } = (detail ?? {}) as Detail;
  return { kind: kind ?? `http_${status}`, message: message ?? fallback };
}

async function call<T>(url: string, init: RequestInit, patience: number): Promise<T> {
  let response: Response;
  const late = AbortSignal.timeout(patience);
  const signal = init.signal ? AbortSignal.any([init.signal, late]) : late;
  try {
    response = await fetch(url, { credentials: "same-origin", ...init, signal });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, "no_answer", WORDS[0] as string);
  }
  if (response.status === 401) {
    if (stays > 0) throw new ApiError(401, "not_logged_in", LOGIN_OVER);
    leave.to(loginUrl());
    throw new ApiError(401, "not_logged_in", "You are not logged in. The login page opens.");
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) {
    const { kind, message } = detailOf(body, response.status);
    throw new ApiError(response.status, kind, message);
  }
  return body as T;
}

/** Read a route. */
export function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return call<T>(apiUrl(path, query), { signal, headers: { Accept: "application/json" } }, READ_PATIENCE_MS);
}

export interface WriteBody {
  reason: string | null;
  dry_run: boolean;
  [field: string]: unknown;
}

/** Change something. The header is what a page of another origin cannot send. */
export async function write<T>(
  path: string,
  body: WriteBody,
  method: "POST" | "PUT" | "DELETE" = "POST",
): Promise<T> {
  const headers = {
    Accept: "application/json",
    "Content-Type": "application/json",
    "X-OWL-Request": "1",
  };
  const init = { method, headers, body: JSON.stringify(body) };
  try {
    return await call<T>(apiUrl(path), init, body.dry_run ? READ_PATIENCE_MS : WRITE_PATIENCE_MS);
  } catch (error) {
    // Of a question the words for no answer are enough; of a change the operator has to look.
    const lost = error instanceof ApiError && UNANSWERED.has(error.status) && !body.dry_run;
    throw lost ? new ApiError(error.status, "no_answer", UNKNOWN_OUTCOME) : error;
  }
}
