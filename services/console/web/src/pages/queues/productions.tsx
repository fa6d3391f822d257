import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, data, type Schemas } from "../../api/client";
import { useProductions } from "../../app";
import { to } from "../../routes";
import { Badge, Bar, Button, Card, Field, Input, Loaded } from "../../ui";
import { count, number } from "../../words";
import { useAsk, type Question } from "../oncall/ask";
import { every } from "../oncall/parts";
import { usePauses, useTop } from "./functions";

/** Productions shares the workers between productions, and bounds what each has under way. */
export function Productions() {
  const productions = useProductions();
  const top = useTop();
  const pauses = usePauses();
  return (
    <Loaded query={productions}>
      {(list) => {
        const weightOf = (id: string) => pauses.data?.weights?.find((w) => w.production === id)?.weight || top.data?.productions?.find((p) => p.production === id)?.weight || 1;
        const sum = list.reduce((n, p) => n + weightOf(p.id!), 0);
        return (
          <Card title="Who gets how much" bare>
            <ul className="lines">
              {list.map((p) => (
                <Line
                  key={p.id}
                  p={p}
                  now={top.data?.productions?.find((t) => t.production === p.id)}
                  weight={weightOf(p.id!)}
                  sum={sum}
                  paused={!!pauses.data?.pauses?.some((x) => x.production === p.id && !x.function)}
                />
              ))}
            </ul>
          </Card>
        );
      }}
    </Loaded>
  );
}

const shareOf = (weight: number, sum: number) => `${Math.round((100 * weight) / Math.max(1, sum))} %`;

function Line({ p, now, weight, sum, paused }: { p: Schemas["Production"]; now?: Schemas["TopProduction"]; weight: number; sum: number; paused: boolean }) {
  const [ask, asked] = useAsk();
  const [editing, setEditing] = useState(false);
  const quota = useQuery({ queryKey: ["quota", p.id], queryFn: () => data(api.GET("/v1/productions/{production}/quota", { params: { path: { production: p.id! } } })), refetchInterval: every * 2 });
  const q = quota.data;
  const name = p.name || p.id;
  const pause = (): Question =>
    paused
      ? { title: `Resume ${name}?`, says: <p>Its steps begin again at once{now?.ready ? `: ${count(now.ready, "is ready", "are ready")}` : ""}.</p>, yes: "Resume", act: () => data(api.POST("/v1/productions/{production}:resume", { params: { path: { production: p.id! } }, body: {} })), done: `${name} goes on.`, stale: ["pauses", "top"] }
      : {
          title: `Pause ${name}?`,
          says: <p>No step of any of its distributions begins until somebody resumes it: {count(now?.open ?? 0, "distribution is", "distributions are")} under way, {count(now?.ready ?? 0, "step is", "steps are")} ready. {now?.running ? `${count(now.running, "step that runs comes to its end", "steps that run come to their end")}. ` : ""}New distributions are accepted and wait. Nothing is lost.</p>,
          yes: "Pause", look: "bad", act: () => data(api.POST("/v1/productions/{production}:pause", { params: { path: { production: p.id! } }, body: {} })), done: `${name} is paused.`, stale: ["pauses", "top"],
        };
  return (
    <li>
      <div className="head">
        <span className="title"><Link href={to.distributions(p.id!)} style={{ color: "inherit" }}>{name}</Link></span>
        {paused && <Badge tone="wait">Paused</Badge>}
        {now?.failing ? <Badge tone="bad">{number(now.failing)} failing</Badge> : null}
      </div>
      <div className="asides soft number">
        <span>{count(now?.open ?? 0, "distribution")} under way</span>
        <span>{number(now?.running ?? 0)} running</span>
        <span>{number(now?.ready ?? 0)} ready</span>
        <span title="Of the workers' time, when all productions have something to do">weight {number(weight)}, {shareOf(weight, sum)} when all have work</span>
      </div>
      <div className="asides soft number" style={{ minHeight: "1.3rem" }}>
        {q && (
          <>
            <span>{number(q.items_open ?? 0)} {q.most_open_items ? `of at most ${count(q.most_open_items, "copy", "copies")}` : q.items_open === 1 ? "copy" : "copies"} under way</span>
            <span>{number(q.last_minute ?? 0)} {q.most_per_minute ? `of at most ${number(q.most_per_minute)}` : ""} new in the last minute</span>
            {q.open_items === undefined && q.per_minute === undefined ? <span className="faint">as all productions</span> : <span className="faint">by its own quota</span>}
          </>
        )}
      </div>
      {!!q?.most_open_items && (q.items_open ?? 0) > 0 && <Bar label={`${q.items_open} of ${q.most_open_items} copies are under way`} parts={[[(q.items_open ?? 0) > 0.9 * q.most_open_items ? "bad" : "busy", q.items_open ?? 0], ["wait", q.most_open_items - (q.items_open ?? 0)]]} />}
      {editing && q ? (
        <Edit p={p} weight={weight} sum={sum} q={q} ask={ask} onClose={() => setEditing(false)} />
      ) : (
        <div className="acts">
          <Button size="small" onClick={() => setEditing(true)} disabled={!q}>Weight and quota</Button>
          <Button size="small" look={paused ? undefined : "quiet"} onClick={() => ask(pause())}>{paused ? "Resume" : "Pause…"}</Button>
        </div>
      )}
      {asked}
    </li>
  );
}

function Edit({ p, weight, sum, q, ask, onClose }: { p: Schemas["Production"]; weight: number; sum: number; q: Schemas["Quota"]; ask: (q: Question) => void; onClose: () => void }) {
  const said = (n: number | null | undefined) => (n === undefined || n === null ? "" : String(n));
  const [w, setW] = useState(String(weight));
  const [items, setItems] = useState(said(q.open_items));
  const [minute, setMinute] = useState(said(q.per_minute));
  const whole = (text: string, most: number) => (text === "" || (/^\d+$/.test(text) && Number(text) <= most) ? undefined : `A whole number up to ${number(most)}`);
  const wrong = {
    w: /^\d+$/.test(w) && Number(w) >= 1 && Number(w) <= 100 ? undefined : "From 1 to 100",
    items: whole(items, 1073741824),
    minute: whole(minute, 1048576),
  };
  const weightNew = Number(w) !== weight;
  const quotaNew = items !== said(q.open_items) || minute !== said(q.per_minute);
  const most = (text: string, what: string) => (text === "" ? `what holds for all productions of ${what}` : Number(text) === 0 ? `any number of ${what}` : `${number(Number(text))} ${what}`);
  return (
    <form
      className="cells"
      style={{ marginTop: "var(--space-2)" }}
      onSubmit={(e) => {
        e.preventDefault();
        if (Object.values(wrong).some(Boolean) || (!weightNew && !quotaNew)) return;
        ask({
          title: `Change ${p.name || p.id}?`,
          says: (
            <>
              {weightNew && <p>Its weight becomes {w} instead of {number(weight)}: {shareOf(Number(w), sum - weight + Number(w))} of the workers' time when all productions have work, instead of {shareOf(weight, sum)}. It holds at once.</p>}
              {quotaNew && <p>It may have {most(items, "copies under way")}, and create {most(minute, "distributions a minute")}. Now {number(q.items_open ?? 0)} are under way{items && Number(items) > 0 && Number(items) < (q.items_open ?? 0) ? ": those go on, and new distributions are refused until there is room" : ""}.</p>}
            </>
          ),
          yes: "Change it",
          act: async () => {
            if (weightNew) await data(api.PUT("/v1/productions/{production}/weight", { params: { path: { production: p.id! } }, body: { weight: Number(w) } }));
            if (quotaNew) await data(api.PUT("/v1/productions/{production}/quota", { params: { path: { production: p.id! } }, body: { quota: { ...(items !== "" && { open_items: Number(items) }), ...(minute !== "" && { per_minute: Number(minute) }) } } }));
            onClose();
          },
          done: "It is changed.",
          stale: ["pauses", "top", "quota"],
        });
      }}
    >
      <Field label="Weight" wrong={wrong.w} hint="1 to 100">{(a) => <Input inputMode="numeric" autoFocus value={w} onChange={(e) => setW(e.target.value)} {...a} />}</Field>
      <div className="field" style={{ width: "11rem" }}><Field label="Copies under way" wrong={wrong.items} hint={<>Empty: as all ({number(q.most_open_items ?? 0)}); 0: any</>}>{(a) => <Input inputMode="numeric" value={items} onChange={(e) => setItems(e.target.value)} {...a} />}</Field></div>
      <div className="field" style={{ width: "11rem" }}><Field label="Distributions a minute" wrong={wrong.minute} hint={<>Empty: as all ({number(q.most_per_minute ?? 0)}); 0: any</>}>{(a) => <Input inputMode="numeric" value={minute} onChange={(e) => setMinute(e.target.value)} {...a} />}</Field></div>
      <Button type="submit" look="main" disabled={Object.values(wrong).some(Boolean) || (!weightNew && !quotaNew)}>Save…</Button>
      <Button onClick={onClose}>Leave it</Button>
    </form>
  );
}
