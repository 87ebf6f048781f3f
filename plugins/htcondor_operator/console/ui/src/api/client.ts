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
  500: "The server made a mistake. Its log (api-server) says which.",
  503: "The server cannot do this now. Try again in a moment.",
};

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

async function call<T>(url: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...init });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError(0, "no_answer", WORDS[0] as string);
  }
  if (response.status === 401) {
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
  return call<T>(apiUrl(path, query), { signal, headers: { Accept: "application/json" } });
}

export interface WriteBody {
  reason: string | null;
  dry_run: boolean;
  [field: string]: unknown;
}

/** Change something. The header is what a page of another origin cannot send. */
export function write<T>(
  path: string,
  body: WriteBody,
  method: "POST" | "PUT" | "DELETE" = "POST",
): Promise<T> {
  return call<T>(apiUrl(path), {
    method,
    headers: {
      Accept: "application/json",
      "Content-Type": "application/json",
      "X-OWL-Request": "1",
    },
    body: JSON.stringify(body),
  });
}
