import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { maySend, useSession } from "../api/session";
import { to } from "../routes";
import { Ask, Badge, Bones, Button, Card, Copy, Loaded, Notice, PageHead, State, Time, toast, Trouble, type KeyOf } from "../ui";
import { bytes, count, deliveryStates, distributionStates, itemStates, sentence, span, stateWord, stepStates, type Tone } from "../words";
import { Causes } from "./distribution/causes";
import { LogLines } from "./distribution/events";
import { distributionKey, titleOf, unitSaid } from "./distribution/said";
import { apiSource } from "./distribution/sheet";
import "./distribution/distribution.css";

type Chapter = Schemas["Chapter"];

/** StoryPage tells why one person, copy or file is as it is, and then all that happened to it, in order. */
export default function StoryPage({ production, distribution, unit }: { production: string; distribution: string; unit: string }) {
  const session = useSession();
  const queries = useQueryClient();
  const path = { production, distribution };
  const d = useQuery({
    queryKey: distributionKey(production, distribution),
    queryFn: () => data(api.GET("/v1/productions/{production}/distributions/{distribution}", { params: { path } })),
    refetchInterval: (q) => (q.state.data?.ended_at ? 30_000 : 5000),
  });
  const every = d.data?.ended_at ? 30_000 : 5000;
  const why = useQuery({
    queryKey: ["why", production, distribution, unit],
    queryFn: () => data(api.GET("/v1/why", { params: { query: { query: unit === "d" ? distribution : `${distribution}.${unit}`, production, distribution } } })),
    refetchInterval: every,
    retry: 1,
  });
  const story = useQuery({
    queryKey: ["story", production, distribution, unit],
    queryFn: async () => (await data(api.GET("/v1/productions/{production}/distributions/{distribution}/units/{unit}/story", { params: { path: { ...path, unit } } }))).story ?? {},
    refetchInterval: every,
  });
  const person = /(?:^r|\.)(\d+)$/.exec(unit)?.[1];
  const s = why.data?.subject;
  const ofItem = unit.startsWith("i");
  const title = story.data?.name || s?.name || unitSaid(unit, d.data?.files);
  const failed = why.data?.causes?.some((c) => ["failed", "refused", "quarantined", "credential"].includes(c.kind ?? ""));
  const [ask, setAsk] = useState(false);
  const again = async (keyOf: KeyOf) => {
    const after = await data(api.POST("/v1/productions/{production}/distributions/{distribution}:retry", { params: { path }, headers: keyOf(person), body: { recipients: [`${distribution}.r${person}`] } }));
    queries.setQueryData(distributionKey(production, distribution), after);
    toast("good", "It runs again; what comes of it shows here.");
    void why.refetch();
    void story.refetch();
  };
  // An item's own state: what is found of it carries that of the mail.
  const people = d.data?.recipients?.total;
  const item = useQuery({
    queryKey: ["item", production, distribution, unit],
    queryFn: async () => {
      const [f, r] = unit.slice(1).split(".").map(Number) as [number, number];
      return (await apiSource(production, distribution).items((f - 1) * people! + r - 1, 1))[0] ?? null;
    },
    enabled: ofItem && !!people,
    refetchInterval: every,
  });
  const [words, word] = ofItem
    ? [itemStates, item.data?.state]
    : unit.startsWith("r")
      ? [deliveryStates, s?.state ?? story.data?.state]
      : [distributionStates, unit === "d" ? d.data?.state : undefined];
  return (
    <div className="distribution">
      <PageHead
        title={title}
        above={
          <>
            <Link href={to.distributions(production)}>Distributions</Link>
            <span aria-hidden>›</span>
            <Link href={to.distribution(production, distribution)}>{d.data ? titleOf(d.data) : "The distribution"}</Link>
          </>
        }
        below={<>{s?.detail && s.detail !== title ? s.detail : <>&nbsp;</>}</>}
        beside={word && <State of={words} is={word} />}
        actions={
          <>
            {person && failed && <Button look="main" onClick={() => setAsk(true)}>Try again…</Button>}
            {person && <Link className="button" href={`${to.distribution(production, distribution)}?person=${person}`}>{maySend(session) ? "Send again, correct, open…" : "The person"}</Link>}
            {ofItem && <Link className="button" href={to.story(production, distribution, `r${person}`)}>All of this person's</Link>}
            {ofItem && <Link className="button" href={to.story(production, distribution, `f${unit.slice(1).split(".")[0]}`)}>The file</Link>}
          </>
        }
      />
      <section className="card whyCard" data-tone={toneOf(why.data)} aria-label="Why">
        {why.data ? (
          <>
            <p className="bigAnswer">{why.data.answer}</p>
            {(why.data.causes?.length ?? 0) > 0 && <Causes causes={why.data.causes!} answer={why.data.answer} />}
            <Ahead why={why.data} />
            {why.data.freshness?.note && <Notice tone="wait">{why.data.freshness.note}</Notice>}
          </>
        ) : why.error ? (
          <Trouble error={why.error} again={() => void why.refetch()} />
        ) : (
          <Bones lines={3} />
        )}
      </section>
      <Ask title="Try again for this person?" open={ask} onClose={() => setAsk(false)} yes="Try again for 1 person" act={again}>
        <p>What failed for them runs again, and so does what waited for it. They get another mail only if there is more to send; nobody else is touched.</p>
        <p className="soft">If the cause is still there, it fails again the same way.</p>
      </Ask>
      <Others others={(why.data?.others ?? []).slice(0, 5)} />
      <Loaded query={story} lines={8}>
        {(t) => (
          <Card
            title={<>What happened, in order <span className="faint">{count(t.chapters?.length ?? 0, "chapter")}</span></>}
            actions={t.trace_id && <span className="row faint">Trace <code className="cut trace">{t.trace_id}</code> <Copy text={t.trace_id} name="the trace's id" /></span>}
          >
            <ol className="chapters">
              {t.chapters?.map((c, i) => (
                <Telling key={`${c.step} ${c.unit} ${c.attempt} ${c.kind} ${c.from}`} c={c} first={t.chapters![0]?.from} gap={t.left_out && i === Math.floor(t.chapters!.length / 2) ? t.left_out : 0} />
              ))}
            </ol>
          </Card>
        )}
      </Loaded>
    </div>
  );
}

/** toneOf is how bad it is: what failed for good is bad, what waits waits, what is well is well. */
function toneOf(w: Schemas["WhyResponse"] | undefined): Tone {
  const worst = w?.causes?.[0]?.kind;
  if (!w) return "off";
  if (!worst) return "good";
  if (worst === "cancelled") return "off";
  return ["waits_worker", "waits_limit", "backing_off", "held", "paused", "late", "slow"].includes(worst) ? "wait" : "bad";
}

/** Ahead says when it will be over, and what should have happened. */
function Ahead({ why }: { why: Schemas["WhyResponse"] }) {
  const e = why.expectation;
  const missing = e?.missing ?? [];
  if (!e || (!e.eta_p50 && missing.length === 0)) return null;
  return (
    <div className="soft">
      {e.eta_p50 && <p>The distribution is likely over <Time at={e.eta_p50} />{e.eta_p90 && <>, nine times in ten <Time at={e.eta_p90} /></>}.</p>}
      {missing.slice(0, 3).map((m, i) => <p key={i}>{sentence(m.what ?? "")} {m.expected_by && <>It was expected <Time at={m.expected_by} />.</>}</p>)}
    </div>
  );
}

function Others({ others }: { others: Schemas["Hit"][] }) {
  if (others.length === 0) return null;
  return (
    <p className="faint">
      Also called that:{" "}
      {others.map((o, i) => (
        <span key={i}>{i > 0 && ", "}<Link href={o.unit ? to.story(o.production!, o.distribution!, o.unit) : to.distribution(o.production!, o.distribution!)}>{o.name} ({o.detail})</Link></span>
      ))}
    </p>
  );
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function chapterTone(c: Chapter): Tone {
  if (c.kind === "wait") return c.until ? "off" : "wait";
  if (c.kind === "life") return c.error ? "bad" : "off";
  return c.state === "retrying" ? "wait" : stateWord(c.kind === "delivery" ? deliveryStates : stepStates, c.state).tone;
}

/** Telling is one chapter: its sentence and how long it took; what it was given, answered and logged on demand. */
function Telling({ c, first, gap }: { c: Chapter; first: string | null | undefined; gap: number }) {
  const [open, setOpen] = useState(false);
  const took = c.from && c.until ? (Date.parse(c.until) - Date.parse(c.from)) / 1000 : undefined;
  const more = !!(c.input_json || c.output_json || c.log?.length || c.metrics?.length || c.span_id);
  const since = c.from && first ? (Date.parse(c.from) - Date.parse(first)) / 1000 : 0;
  return (
    <>
      {gap > 0 && <li className="gap faint">{count(gap, "chapter")} left out here: so many attempts would fill pages.</li>}
      <li className="chapter" data-kind={c.kind} data-tone={chapterTone(c)}>
        <span className="chapterTime number" title={c.from ?? ""}>
          {c.from ? clock.format(Date.parse(c.from)) : "–"}
          <span className="faint">{since > 0.0005 ? `+${span(since)}` : ""}</span>
        </span>
        <div className="chapterBody">
          <p>
            {c.sentence} {took === undefined && c.kind !== "life" && <Badge tone="busy">Goes on</Badge>}
          </p>
          {c.error && c.kind !== "wait" && !c.sentence?.includes(c.error.message?.replace(/\.$/, "") || "\0") && <p className="bad">{sentence(c.error.message ?? "")} <code>{c.error.code}</code></p>}
          {(c.kind === "attempt" || more) && (
            <p className="faint row" style={{ gap: "var(--space-1) var(--space-3)" }}>
              {c.step && <span>{c.step}</span>}
              {(c.attempt ?? 0) > 0 && <span>attempt {c.attempt}</span>}
              {c.worker && <span>{c.worker}</span>}
              {took !== undefined && took > 0 && <span className="number">{span(took)}</span>}
              {Number(c.bytes_in) > 0 && <span>read {bytes(c.bytes_in)}</span>}
              {Number(c.bytes_out) > 0 && <span>made {bytes(c.bytes_out)}</span>}
              {more && <Button size="small" look="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>{open ? "Less" : c.log?.length ? `Details, ${count(c.log.length, "log line")}` : "Details"}</Button>}
            </p>
          )}
          {open && (
            <div className="stack chapterMore" style={{ gap: "var(--space-3)" }}>
              {c.log && c.log.length > 0 && <LogLines log={c.log} />}
              {c.input_note && <Notice tone="wait">{c.input_note}</Notice>}
              {c.input_json && <Json name="What it was given" text={c.input_json} />}
              {c.output_json && <Json name="What it answered" text={c.output_json} />}
              {c.metrics && c.metrics.length > 0 && (
                <ul className="faint">{c.metrics.map((m, i) => <li key={i}>{m.name} {Object.entries(m.labels ?? {}).map(([k, v]) => `${k}=${v}`).join(" ")}: <span className="number">{m.value}</span></li>)}</ul>
              )}
              {c.span_id && <p className="faint">Span <code>{c.span_id}</code> <Copy text={c.span_id} name="the span's id" /></p>}
            </div>
          )}
        </div>
      </li>
    </>
  );
}

/** Json is a document as lines that can be read; as it is when it is none. */
function Json({ name, text }: { name: string; text: string }) {
  let lines = text;
  try {
    lines = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Cut at 8 KiB perhaps: shown as it is.
  }
  return (
    <details open>
      <summary>{name} <Copy text={lines} name={name.toLowerCase()} /></summary>
      <pre className="log" tabIndex={0}>{lines}</pre>
    </details>
  );
}
