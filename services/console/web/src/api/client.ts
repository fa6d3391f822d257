import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

/** The API's messages, by their names in the OpenAPI document. */
export type Schemas = components["schemas"];

/** A refusal or failure as the API says it: a stable code, a sentence for people, and whether asking again can help. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryable: boolean,
  ) {
    super(message);
  }
}

let csrf = "";

/** setCsrf keeps the token that every write must carry beside the session's cookie. */
export function setCsrf(token: string) {
  csrf = token;
}

/** newKey makes an idempotency key. crypto.randomUUID would do, but is missing where the console is served by plain http. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

/** reading ends what is read and does not come: a line that is dead is not waited for. Writes are waited for, since they may have been done. */
export const reading = () => AbortSignal.timeout(60_000);

/** headers are what a request needs beyond the cookie; writes get an idempotency key, so that a lost answer can be asked for again. */
export function headers(method: string, key?: string): Record<string, string> {
  if (method === "GET") return {};
  return { "X-Filigree-CSRF": csrf, "Idempotency-Key": key ?? newKey() };
}

const signedOut = new Set<() => void>();

/** onSignedOut calls f when the server no longer knows the session. */
export function onSignedOut(f: () => void): () => void {
  signedOut.add(f);
  return () => signedOut.delete(f);
}

/** failure reads the API's error out of an answer that is none of success. */
export async function failure(answer: Response): Promise<ApiError> {
  let error: { code?: string; message?: string; retryable?: boolean } = {};
  try {
    error = ((await answer.json()) as { error?: typeof error }).error ?? {};
  } catch {
    // Something in between answered, a proxy perhaps: only its status says something.
  }
  return new ApiError(
    answer.status,
    error.code ?? `HTTP_${answer.status}`,
    error.message ?? `The server answered ${answer.status} ${answer.statusText}, without saying why.`,
    error.retryable ?? answer.status >= 500,
  );
}

/** offline is what is said when no answer came. */
export const offline = () => new ApiError(0, "OFFLINE", "The server cannot be reached. What you see is from before; nothing is lost.", true);

const manners: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(headers(request.method, request.headers.get("Idempotency-Key") ?? undefined)))
      request.headers.set(name, value);
    return request.method === "GET" ? new Request(request, { signal: AbortSignal.any([request.signal, reading()]) }) : request;
  },
  async onResponse({ response, schemaPath }) {
    if (response.ok) return response;
    if (response.status === 401 && !schemaPath.startsWith("/v1/session")) for (const f of signedOut) f();
    throw await failure(response);
  },
  onError: offline,
};

/** api calls Filigree's REST API as the OpenAPI document describes it; failures are thrown as ApiError. */
export const api = createClient<paths>({ baseUrl: location.origin });
api.use(manners);

/** data is the body of an answer. */
export async function data<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}
