// Sending, so that a lost answer never sends twice: what was asked for is kept with its key until it is known what became of
// it, and asked for again just so.
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, failure, headers, newKey, type Schemas } from "../../api/client";
import { keep, request, type Change, type Draft } from "./draft";
import { settled } from "./pick";

/** unsure tells failures after which the request may have been accepted all the same. */
const unsure = (e: ApiError) => e.code === "OFFLINE" || (e.retryable && !e.code.startsWith("QUOTA_")) || e.status >= 500;

async function post(production: string, intent: { key: string; body: string }): Promise<Schemas["Distribution"]> {
  let answer: Response;
  try {
    answer = await fetch(`/v1/productions/${encodeURIComponent(production)}/distributions`, {
      method: "POST",
      headers: { ...headers("POST", intent.key), "Content-Type": "application/json" },
      body: intent.body,
      signal: AbortSignal.timeout(60_000),
    });
    if (answer.ok) return (await answer.json()) as Schemas["Distribution"];
  } catch {
    throw new ApiError(0, "OFFLINE", "No answer came.", true);
  }
  throw await failure(answer);
}

export type Sending =
  | { state: "none" }
  | { state: "asking"; tries: number }
  /** No answer: it is asked again at `next`. */
  | { state: "unsure"; tries: number; next: number; error: ApiError }
  | { state: "refused"; error: ApiError };

/** useSending sends a draft. `send` begins, `again` asks now instead of later, `giveUp` forgets what was asked. */
export function useSending(production: string, draft: Draft, change: Change, done: (d: Schemas["Distribution"]) => void) {
  // What was asked before a reload is not asked by itself: whoever comes back decides.
  const [sending, set] = useState<Sending>(() => (draft.intent ? { state: "unsure", tries: 1, next: 0, error: new ApiError(0, "OFFLINE", "The page was left before an answer came.", true) } : { state: "none" }));
  const timer = useRef<number>(undefined);
  const alive = useRef(true);
  // A refusal is about what was asked: once that is changed it says nothing any more.
  const refused = useRef<Draft>(undefined);
  useEffect(() => {
    if (sending.state !== "refused") refused.current = undefined;
    else if (refused.current === undefined) refused.current = draft;
    else if (refused.current !== draft) set({ state: "none" });
  }, [draft, sending]);
  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
      window.clearTimeout(timer.current);
    };
  }, []);
  const ask = useCallback(
    async (intent: { key: string; body: string }, tries: number) => {
      window.clearTimeout(timer.current);
      set({ state: "asking", tries });
      try {
        const made = await post(production, intent);
        if (alive.current) done(made);
      } catch (e) {
        if (!alive.current) return;
        const error = e as ApiError;
        if (!unsure(error)) {
          change({ intent: undefined });
          set({ state: "refused", error });
          return;
        }
        const wait = Math.min(30, 2 ** tries) * 1000;
        set({ state: "unsure", tries, next: Date.now() + wait, error });
        timer.current = window.setTimeout(() => void ask(intent, tries + 1), wait);
      }
    },
    [production, change, done],
  );
  const send = useCallback(async () => {
    set({ state: "asking", tries: 0 });
    const d = await settled(production, draft);
    if (!alive.current) return;
    const intent = { key: newKey(), body: JSON.stringify(request(d)) };
    change({ lists: d.lists, intent });
    // At once: the answer may be lost because this very page is.
    keep(production, { ...d, intent });
    void ask(intent, 1);
  }, [ask, change, draft, production]);
  const again = useCallback(() => draft.intent && void ask(draft.intent, (sending.state === "unsure" ? sending.tries : 0) + 1), [ask, draft.intent, sending]);
  const giveUp = useCallback(() => {
    window.clearTimeout(timer.current);
    change({ intent: undefined });
    set({ state: "none" });
  }, [change]);
  return { sending, send, again, giveUp };
}
