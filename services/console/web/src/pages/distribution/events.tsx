import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useDeferredValue, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { Link, useSearchParams } from "wouter";
import type { Schemas } from "../../api/client";
import { to } from "../../routes";
import { Bones, Button, Empty, Input, Time, Trouble } from "../../ui";
import { count, number, stateWord, stepStates, type Tone } from "../../words";
import { apiEvents, Backlog, mostKept, type Event } from "./backlog";
import { plain } from "./filter";
import { clockTime, eventSaid, unitSaid } from "./said";
import type { Sheet } from "./sheet";

type D = Schemas["Distribution"];

const kinds: [string, string, (e: Event) => boolean][] = [
  ["", "All", () => true],
  ["trouble", "Failures", (e) => !!e.error || e.state === "failed" || e.state === "retrying"],
  ["asked", "What people did", (e) => e.kind !== "attempt" && !["accepted", "planned", "started", "ended", "retry"].includes(e.kind ?? "")],
  ["life", "Of the whole", (e) => e.kind !== "attempt"],
  ["log", "With log lines", (e) => (e.log?.length ?? 0) > 0],
];

/** Events is all that happened, newest first, each as a sentence. */
export default function Events({ d, sheet }: { d: D; sheet: Sheet }) {
  const [query, setQuery] = useSearchParams();
  const set = (name: string, value: string) => setQuery((q) => (value ? q.set(name, value) : q.delete(name), q), { replace: true });
  const backlog = useMemo(() => new Backlog(apiEvents(d.production!, d.id!), Date.parse(d.created_at!), d.ended_at ? Date.parse(d.ended_at) : Date.now()), [d.id]);
  const version = useSyncExternalStore(backlog.subscribe, () => backlog.version);
  const people = useSyncExternalStore(sheet.subscribe, () => sheet.known);
  useEffect(() => {
    void backlog.older();
    if (sheet.known === 0) void sheet.load();
  }, [backlog, sheet]);
  // Each change of the distribution is an event, or many: they are fetched at most every two seconds.
  const counts = JSON.stringify([d.steps, d.state]);
  const told = useRef(0);
  useEffect(() => {
    const timer = setTimeout(() => ((told.current = Date.now()), void backlog.newer()), Math.max(0, told.current + 2000 - Date.now()));
    return () => clearTimeout(timer);
  }, [counts, backlog]);

  const kind = kinds.find(([k]) => k === query.get("kind")) ?? kinds[0]!;
  const step = query.get("step") ?? "";
  const [text, setText] = useState(query.get("text") ?? "");
  const asked = useDeferredValue(text);
  useEffect(() => {
    const timer = setTimeout(() => asked !== (query.get("text") ?? "") && set("text", asked), 300);
    return () => clearTimeout(timer);
  }, [asked]);
  const nameOf = (n: number) => sheet.people[n]?.name || sheet.people[n]?.email;
  const said = (e: Event) => eventSaid(e, unitSaid(e.unit, d.files, nameOf));
  const list = useMemo(() => {
    const words = plain(asked).split(/\s+/).filter(Boolean);
    return backlog.events.filter((e) => kind[2](e) && (!step || e.step === step) && (words.length === 0 || words.every((w) => plain(`${said(e)} ${e.worker ?? ""} ${e.error?.code ?? ""}`).includes(w))));
  }, [backlog, version, kind, step, asked, people]);
  // With a filter, what fits may lie far back: it is looked for until there is a page of it.
  useEffect(() => {
    if (list.length < 50 && !backlog.busy && !backlog.error) void backlog.older();
  }, [list.length, version, backlog]);
  return (
    <>
      <div className="peopleBar">
        <nav className="chips" aria-label="Which events are shown">
          {kinds.map(([k, name]) => <button key={k} type="button" className="chip" aria-pressed={k === kind[0]} onClick={() => set("kind", k)}>{name}</button>)}
        </nav>
        <div className="finding">
          <select className="input" style={{ width: "auto" }} value={step} onChange={(e) => set("step", e.target.value)} aria-label="Step">
            <option value="">Every step</option>
            {d.steps?.map((s) => <option key={s.name}>{s.name}</option>)}
          </select>
          <Input type="search" value={text} onChange={(e) => setText(e.target.value)} placeholder="A name, a worker, a code…" aria-label="Search events" />
        </div>
      </div>
      {backlog.error && <Trouble error={backlog.error} again={() => void (backlog.events.length ? backlog.newer() : backlog.older())} />}
      {backlog.events.length === 0 && !backlog.error ? (
        <div className="card"><div className="body">{backlog.complete ? <Empty title="Nothing has happened yet" /> : <Bones lines={8} />}</div></div>
      ) : list.length === 0 && backlog.complete ? (
        <div className="card"><Empty title="Nothing of that kind happened">{count(backlog.events.length, "event")} were looked through, back to the beginning.</Empty></div>
      ) : (
        <List d={d} list={list} said={said} more={() => void backlog.older()} />
      )}
      <p className="faint" role="status">
        {backlog.full
          ? `The newest ${number(mostKept)} events are kept here. Earlier ones: filigree events ${d.id}`
          : backlog.complete
            ? `${count(list.length, "event")}${list.length < backlog.events.length ? ` of ${number(backlog.events.length)}` : ""}, back to the beginning.`
            : `${count(list.length, "event")} back to ${clockTime(Math.max(backlog.since, Date.parse(d.created_at!)))}${backlog.busy ? "; looking further back…" : "."}`}
      </p>
    </>
  );
}

function List({ d, list, said, more }: { d: D; list: Event[]; said: (e: Event) => string; more: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({ count: list.length, getScrollElement: () => box.current, estimateSize: () => 44, overscan: 10, getItemKey: (i) => list[i]!.id! });
  const seen = rows.getVirtualItems();
  const last = seen.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= list.length - 30) more();
  }, [last, list.length]);
  return (
    <div ref={box} className="card events" role="feed" aria-label="Events, newest first" tabIndex={0}>
      <div style={{ height: rows.getTotalSize(), position: "relative" }}>
        {seen.map((v) => (
          <div key={v.key} data-index={v.index} ref={rows.measureElement} className="event" role="article" aria-posinset={v.index + 1} aria-setsize={-1} style={{ transform: `translateY(${v.start}px)` }}>
            <Line d={d} e={list[v.index]!} text={said(list[v.index]!)} />
          </div>
        ))}
      </div>
    </div>
  );
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** toneOf is how an event looks: attempts by what they came to, acts of people as acts. */
function toneOf(e: Event): Tone {
  if (e.kind === "attempt") return e.state === "retrying" ? "wait" : stateWord(stepStates, e.state).tone;
  if (e.kind === "ended") return e.state === "completed" ? "good" : e.state === "cancelled" ? "off" : "bad";
  return e.kind === "stopped" ? "bad" : "busy";
}

const Line = memo(
  function Line({ d, e, text }: { d: D; e: Event; text: string }) {
    const [open, setOpen] = useState(false);
    const log = e.log ?? [];
    return (
      <>
        <span className="eventTime"><span className="number">{e.time ? clock.format(Date.parse(e.time)) : "–"}</span> <Time at={e.time} /></span>
        <span className="dot" data-tone={toneOf(e)} />
        <span className="grow">
          {e.unit && e.unit !== "d" ? <Link href={to.story(d.production!, d.id!, e.unit)} className="eventText">{text}</Link> : <span className="eventText">{text}</span>}{" "}
          <span className="faint">{e.worker && e.kind === "attempt" ? `on ${e.worker}` : ""}{e.limit ? `, after waiting at the limit ${e.limit}` : ""} {e.error?.code && <code>{e.error.code}</code>}</span>
          {log.length > 0 && (
            <>
              {" "}
              <Button size="small" look="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>{open ? "Hide" : "Show"} {count(log.length, "log line")}</Button>
              {open && <LogLines log={log} />}
            </>
          )}
        </span>
      </>
    );
  },
  (a, b) => a.e === b.e && a.text === b.text,
);

/** LogLines are what a function logged while it worked. */
export const LogLines = ({ log }: { log: Schemas["LogLine"][] }) => (
  <pre className="log" tabIndex={0}>
    {log.map((l, i) => (
      <div key={i} data-level={l.level?.toLowerCase()}>
        <span className="faint">{l.time?.slice(11, 23)} {l.level}</span> {l.text}
      </div>
    ))}
  </pre>
);
