import { Fragment, useEffect, useRef, useState } from "react";
import { useSearchParams } from "wouter";
import type { Schemas } from "../../api/client";
import { Button, Notice, Time } from "../../ui";
import { useProductions } from "../../app";
import { count, number, seconds, span } from "../../words";

/** every is how often, in milliseconds, an on-call page looks again while it is in sight. */
export const every = 5000;

/** useParams reads and sets what the address says after its "?", so that each view of a page has an address of its own. */
export function useParams(): [(name: string) => string, (change: Record<string, string>, push?: boolean) => void] {
  const [params, set] = useSearchParams();
  return [
    (name) => params.get(name) ?? "",
    (change, push) =>
      set(
        (before) => {
          const next = new URLSearchParams(before);
          for (const [name, value] of Object.entries(change)) {
            if (value) next.set(name, value);
            else next.delete(name);
          }
          return next;
        },
        { replace: !push },
      ),
  ];
}

/** Fresh says when what is shown may not be of now: no orchestrator, an index that lags, Redis away. Nothing to say, nothing shown. */
export function Fresh({ of }: { of: Schemas["Freshness"] | null | undefined }) {
  if (!of) return null;
  if (!of.orchestrator_alive)
    return (
      <Notice tone="bad" alert title="No orchestrator answers.">
        {of.orchestrator_seen_at && <>One was last heard of <Time at={of.orchestrator_seen_at} />. </>}
        Nothing moves on until one is started; nothing is lost. What you see is what was so until then. {of.note}
      </Notice>
    );
  const lag = seconds(of.index_lag);
  if (!of.note && lag < 10) return null;
  return <Notice tone="wait">{of.note || `What happened in the last ${span(lag)} is not shown yet.`}</Notice>;
}

/** hurts says whom something hurts: "20 people in 1 distribution". */
export const hurts = (n: { recipients?: number; distributions?: number }) =>
  [n.recipients ? count(n.recipients, "person", "people") : "", n.distributions ? count(n.distributions, "distribution") : ""].filter(Boolean).join(" in ");

/** Told shows a sentence whose commands are told from its words: `filigree …` up to the sentence's end. */
export function Told({ text }: { text: string | undefined }) {
  const parts = (text ?? "").split(/(`[^`]+`|\bfiligree [^,;]*?(?=[.,;]?(?:\s*$|[.,;] )))/);
  return (
    <>
      {parts.map((part, i) => (i % 2 ? <code key={i}>{part.replaceAll("`", "")}</code> : <Fragment key={i}>{part}</Fragment>))}
    </>
  );
}

/** OfProduction chooses of which production a page tells; the choice stands in the address. */
export function OfProduction() {
  const [param, set] = useParams();
  const productions = useProductions();
  if ((productions.data?.length ?? 0) < 2 && !param("production")) return null;
  return (
    <label>
      <span className="unseen">Production</span>
      <select className="input" value={param("production")} onChange={(e) => set({ production: e.target.value, page: "" })}>
        <option value="">All productions</option>
        {productions.data?.map((p) => <option key={p.id} value={p.id}>{p.name || p.id}</option>)}
      </select>
    </label>
  );
}

/** useNames knows what people call a production. */
export function useNames() {
  const productions = useProductions();
  return (id: string | undefined) => (id ? productions.data?.find((p) => p.id === id)?.name || id : "");
}

/** Pages goes through a long list page by page; each page has an address, and the browser's way back leads to the one before. */
export function Pages({ next, shown }: { next: string | undefined; shown: number }) {
  const [param, set] = useParams();
  const page = param("page");
  if (!page && !next) return null;
  const turn = (to: string) => {
    set({ page: to }, true);
    document.getElementById("main")?.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  };
  return (
    <nav className="row" aria-label="Pages">
      <Button disabled={!page} onClick={() => turn("")}>First page</Button>
      <Button disabled={!next} onClick={() => turn(next!)}>Next page</Button>
      <span className="faint number">{number(shown)} shown{next ? ", there are more" : ", the last ones"}</span>
    </nav>
  );
}

/** useTyped is a text field whose text stands in the address once the typing pauses. */
export function useTyped(name: string): [string, (text: string) => void] {
  const [param, set] = useParams();
  const said = param(name);
  const [text, setText] = useState(said);
  const mine = useRef(said);
  useEffect(() => {
    // Another way led here: a link, or the way back.
    if (said !== mine.current) setText((mine.current = said));
  }, [said]);
  useEffect(() => {
    if (text === mine.current) return;
    const timer = setTimeout(() => set({ [name]: (mine.current = text.trim()), page: "" }), 350);
    return () => clearTimeout(timer);
  }, [text]);
  return [text, setText];
}
