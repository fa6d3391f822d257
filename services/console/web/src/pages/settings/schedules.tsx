import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../../api/client";
import { maySend, useSession } from "../../api/session";
import { to } from "../../routes";
import { Badge, Button, Card, Empty, Loaded, Time } from "../../ui";
import { count, number } from "../../words";
import { useAsk } from "../oncall/ask";
import { every } from "../oncall/parts";

/** what says what is started: "Dailies {date}: 2 files to 40 people". */
export function what(start: Schemas["CreateDistributionRequest"] | null | undefined): string {
  if (!start) return "what the call says";
  const lists = start.lists?.length ?? 0;
  const to = [start.recipients?.length ? count(start.recipients.length, "person", "people") : "", lists ? count(lists, "list") : ""].filter(Boolean).join(" and ");
  return `${start.title || "without a title"}: ${count(start.files?.length ?? 0, "file")}${to ? ` to ${to}` : ""}`;
}

/** Schedules start distributions by the clock. */
export function Schedules({ production }: { production: string }) {
  const session = useSession();
  const may = maySend(session);
  const [ask, asked] = useAsk();
  const list = useQuery({ queryKey: ["schedules", production], queryFn: async () => (await data(api.GET("/v1/productions/{production}/schedules", { params: { path: { production } } }))).schedules ?? [], refetchInterval: every * 2 });
  const pause = (s: Schemas["Schedule"]) =>
    ask({
      title: s.paused ? `Resume ${s.name}?` : `Pause ${s.name}?`,
      says: s.paused ? <p>It starts again by its times, the next one first. What was due while it was paused is {s.missed === "catch_up" ? "caught up on, up to a hundred runs" : "left out"}.</p> : <p>It starts nothing until somebody resumes it{s.next_at ? <>; the next run would be <Time at={s.next_at} /></> : ""}. What it has started goes on.</p>,
      yes: s.paused ? "Resume" : "Pause",
      act: () => data(api.PUT("/v1/productions/{production}/schedules/{name}", { params: { path: { production, name: s.name! } }, body: { schedule: { name: s.name, cron: s.cron, time_zone: s.time_zone, missed: s.missed, start: s.start, paused: !s.paused } } })),
      done: `${s.name} ${s.paused ? "goes on" : "is paused"}.`,
      stale: ["schedules"],
    });
  const remove = (s: Schemas["Schedule"]) =>
    ask({
      title: `Delete ${s.name}?`,
      says: <p>It starts nothing any more{s.next_at && !s.paused ? <>; the next run would be <Time at={s.next_at} /></> : ""}: {what(s.start)}. What it has started goes on and stays.</p>,
      yes: "Delete it",
      look: "bad",
      act: () => data(api.DELETE("/v1/productions/{production}/schedules/{name}", { params: { path: { production, name: s.name! } } })),
      done: `${s.name} is deleted.`,
      stale: ["schedules"],
    });
  return (
    <Card title="Schedules" bare>
      <div style={{ padding: list.data ? 0 : "var(--space-4)" }}>
        <Loaded query={list} lines={3}>
          {(all) =>
            all.length === 0 ? (
              <Empty title="Nothing is sent by the clock">A schedule starts a distribution at set times, “every weekday at seven”. It is made by the API: <code>PUT /v1/productions/{production}/schedules/…</code></Empty>
            ) : (
              <ul className="lines">
                {all.map((s) => (
                  <li key={s.name}>
                    <div className="head">
                      <span className="title">{s.name}</span>
                      {s.paused ? <Badge tone="wait">Paused</Badge> : s.last_error?.message ? <Badge tone="bad">The last run failed</Badge> : <Badge tone="good">On</Badge>}
                    </div>
                    <p className="words">{what(s.start)}</p>
                    {s.last_error?.message && <p style={{ color: "var(--bad)" }}>{s.last_error.message} <code>{s.last_error.code}</code></p>}
                    <div className="asides faint">
                      {!s.paused && <span>next <Time at={s.next_at} /></span>}
                      <span>last {s.last_at ? s.last_distribution ? <Link href={to.distribution(production, s.last_distribution)}><Time at={s.last_at} /></Link> : <Time at={s.last_at} /> : "never"}</span>
                      <code>{s.cron}</code>
                      <span>{s.time_zone || "UTC"}</span>
                      <span>{s.missed === "catch_up" ? "catches up on what was missed" : "leaves out what was missed"}{s.skipped ? `, so far ${number(s.skipped)}` : ""}</span>
                    </div>
                    {may && <div className="acts"><Button size="small" onClick={() => pause(s)}>{s.paused ? "Resume…" : "Pause…"}</Button><Button size="small" look="quiet" onClick={() => remove(s)}>Delete…</Button></div>}
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </div>
      {asked}
    </Card>
  );
}
