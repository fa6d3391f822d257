import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { to } from "../routes";
import { Badge, Bar, Button, Card, Empty, Input, Loaded, PageHead, Time, useNow } from "../ui";
import { count, number, seconds, span } from "../words";
import { useAsk, type Question } from "./oncall/ask";
import { every, Fresh, useParams, useTyped } from "./oncall/parts";
import { Rows } from "./oncall/rows";
import "./oncall/oncall.css";

/** Workers says who does the work, how much each has, and what nobody does. */
export default function Workers() {
  const [param, set] = useParams();
  const [text, setText] = useTyped("q");
  const top = useQuery({ queryKey: ["top"], queryFn: () => data(api.GET("/v1/top")), refetchInterval: every, placeholderData: keepPreviousData });
  const fn = param("function");
  const [ask, asked] = useAsk();
  return (
    <>
      {asked}
      <PageHead title="Workers" below="Those that ask for work. Each serves some functions; one that is not heard of for 10 seconds loses what it has to others." />
      <Loaded query={top} lines={8}>
        {(t) => {
          const all = t.workers ?? [];
          const q = param("q").toLowerCase();
          const list = all.filter((w) => (!q || w.worker?.toLowerCase().includes(q)) && (!fn || w.functions?.includes(fn)));
          return (
            <>
              <Fresh of={t.freshness} />
              <Answer t={t} />
              <Card title="Functions" bare><Functions t={t} chosen={fn} choose={(f) => set({ function: f === fn ? "" : f })} /></Card>
              <Card
                title={<>Workers{fn && <> of <code>{fn}</code></>} <span className="faint number">{list.length === all.length ? number(all.length) : `${number(list.length)} of ${number(all.length)}`}</span></>}
                actions={<Input type="search" aria-label="Part of a worker's name" placeholder="Part of a name" value={text} onChange={(e) => setText(e.target.value)} style={{ width: "12rem" }} />}
                bare
              >
                {all.length === 0 ? (
                  <Empty title="No worker asks for work">Nothing that is ready begins until one is started. Steps wait, and nothing is lost.</Empty>
                ) : list.length === 0 ? (
                  <p className="calm">No worker is like that.</p>
                ) : (
                  <div className="scroll" tabIndex={0}>
                    <table className="table">
                      <thead><tr><th>Worker</th><th>Serves</th><th style={{ width: "22%" }}>Busy</th><th className="right">Heard of</th><th /></tr></thead>
                      <Rows of={list} height={54} columns={5}>{(w) => <Worker key={w.worker} w={w} drain={() => ask(drain(w, all))} />}</Rows>
                    </table>
                  </div>
                )}
              </Card>
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Answer({ t }: { t: Schemas["GetTopResponse"] }) {
  const fs = t.functions ?? [];
  const alone = fs.filter((f) => !f.workers && ((f.ready ?? 0) > 0 || (f.at_limit ?? 0) > 0));
  const running = t.workers?.reduce((n, w) => n + (w.running ?? 0), 0) ?? 0;
  const room = t.workers?.reduce((n, w) => n + (w.running ?? 0) + (w.free ?? 0), 0) ?? 0;
  const ready = fs.reduce((n, f) => n + (f.ready ?? 0), 0);
  const full = room > 0 && running >= room && ready > 0;
  const says = alone.length
    ? `Nobody serves ${alone.map((f) => f.function).join(", ")}: ${count(alone.reduce((n, f) => n + (f.ready ?? 0), 0), "step")} wait${alone.length === 1 && alone[0]!.ready === 1 ? "s" : ""} for a worker.`
    : !t.workers?.length
      ? "No worker asks for work."
      : full
        ? `All workers are full, and ${count(ready, "step")} wait${ready === 1 ? "s" : ""} for one.`
        : `${count(t.workers.length, "worker")} ${t.workers.length === 1 ? "serves" : "serve"} everything that there is to do.`;
  return (
    <section className="answer" data-tone={alone.length || !t.workers?.length ? "bad" : full ? "wait" : "good"} aria-label="Whether there are workers enough" style={{ minHeight: "5.5rem" }}>
      <p className="sentence">{says}</p>
      <div className="asides number">
        <span>{number(running)} of {count(room, "place")} busy</span>
        <span>{count(ready, "step")} ready</span>
      </div>
    </section>
  );
}

function Functions({ t, chosen, choose }: { t: Schemas["GetTopResponse"]; chosen: string; choose: (f: string) => void }) {
  const fs = [...(t.functions ?? [])].sort((a, b) => Number(!!a.workers || !a.ready) - Number(!!b.workers || !b.ready) || (b.ready ?? 0) - (a.ready ?? 0));
  if (fs.length === 0) return <p className="calm">No function is served, and none is asked for.</p>;
  return (
    <div className="scroll" tabIndex={0}>
      <table className="table">
        <thead><tr><th>Function</th><th className="right">Workers</th><th className="right">Running</th><th className="right">Ready</th><th className="right">Oldest</th><th /></tr></thead>
        <tbody>
          {fs.map((f) => (
            <tr key={f.function}>
              <td><button type="button" className="link" aria-pressed={chosen === f.function} onClick={() => choose(f.function!)}><code>{f.function}</code></button></td>
              <td className="right number">{number(f.workers ?? 0)}</td>
              <td className="right number">{number(f.running ?? 0)}</td>
              <td className="right number">{number(f.ready ?? 0)}</td>
              <td className="right number soft">{f.oldest ? span(seconds(f.oldest)) : "–"}</td>
              <td className="right">
                {f.paused ? <Link href={to.queues()}><Badge tone="wait">Paused</Badge></Link> : !f.workers && f.ready ? <Badge tone="bad">Nobody serves it</Badge> : f.at_limit ? <Link href={`${to.queues()}?tab=limits`}><Badge tone="wait">{number(f.at_limit)} at a limit</Badge></Link> : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** drain asks whether a worker is to get nothing new, or to get work again. */
function drain(w: Schemas["TopWorker"], all: Schemas["TopWorker"][]): Question {
  const params = { params: { path: { worker: w.worker! } }, body: {} };
  if (w.draining)
    return {
      title: `Let ${w.worker} work again?`,
      says: <p>It gets new steps at once.</p>,
      yes: "Let it work",
      act: () => data(api.POST("/v1/workers/{worker}:undrain", params)),
      done: `${w.worker} works again.`,
      stale: ["top"],
    };
  const alone = (w.functions ?? []).filter((f) => !all.some((o) => o.worker !== w.worker && !o.draining && o.functions?.includes(f)));
  return {
    title: `Drain ${w.worker}?`,
    says: (
      <>
        <p>It gets nothing new. {w.running ? `The ${count(w.running, "step")} it has come${w.running === 1 ? "s" : ""} to ${w.running === 1 ? "its" : "their"} end, and nothing is lost.` : "It has nothing, so it can be stopped at once."}</p>
        {alone.length > 0 && <p><b>Nobody else serves {alone.join(", ")}:</b> what is ready there waits until another worker comes or this one works again.</p>}
      </>
    ),
    yes: "Drain",
    act: () => data(api.POST("/v1/workers/{worker}:drain", params)),
    done: `${w.worker} gets nothing new.`,
    stale: ["top"],
  };
}

function Worker({ w, drain }: { w: Schemas["TopWorker"]; drain: () => void }) {
  const now = useNow();
  const silent = w.seen_at ? (now - Date.parse(w.seen_at)) / 1000 : 0;
  const places = (w.running ?? 0) + (w.free ?? 0);
  return (
    <tr>
      <td style={{ overflowWrap: "anywhere", minWidth: "11rem", fontWeight: 550 }}>{w.worker}</td>
      <td className="soft"><code>{w.functions?.join(", ")}</code></td>
      <td style={{ minWidth: "7rem" }}>
        <Bar label={`${w.running ?? 0} of ${places} places are busy`} parts={[["busy", w.running ?? 0], ["wait", w.free ?? 0]]} />
        <span className="faint number">{number(w.running ?? 0)} of {number(places)}</span>
      </td>
      <td className="right soft">{silent > 15 ? <Badge tone={w.running ? "bad" : "wait"}>silent for {span(silent)}</Badge> : <Time at={w.seen_at} />}</td>
      <td className="right" style={{ whiteSpace: "nowrap" }}>
        {w.draining && <><Badge tone="wait">{w.running ? "Draining" : "Drained"}</Badge> </>}
        <Button size="small" look={w.draining ? undefined : "quiet"} onClick={drain}>{w.draining ? "Let it work…" : "Drain…"}</Button>
      </td>
    </tr>
  );
}
