import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ApiError, data, type Schemas } from "../../api/client";
import type { Link as StreamLink } from "../../api/live";
import { Bar, Button, Notice, Time, toast, Trouble, useNow } from "../../ui";
import { count, number, span } from "../../words";
import { itemParts } from "../distributions";
import { distributionKey, lateness, modes, outlook, standing, titleOf } from "./said";

/** useExpectation is when a distribution will be over and what is missing, looked at again while it is open and in sight. */
export function useExpectation(d: Schemas["Distribution"]) {
  return useQuery({
    queryKey: ["expectation", d.production, d.id, !!d.ended_at],
    queryFn: () => data(api.GET("/v1/productions/{production}/distributions/{distribution}/expectation", { params: { path: { production: d.production!, distribution: d.id! } } })),
    refetchInterval: d.ended_at ? false : 5000,
    retry: 1,
  });
}

/** isOffline tells whether the server could not be reached, which passes by itself. */
export const isOffline = (e: Error | null | undefined): e is ApiError => e instanceof ApiError && e.code === "OFFLINE";

/** Standing says how a distribution is: one sentence, how far, until when; and lets what is not out yet be taken back. */
export function Standing({ d, link, error, ran }: { d: Schemas["Distribution"]; link: StreamLink; error: Error | null; ran: () => void }) {
  const now = useNow();
  const expected = useExpectation(d);
  const n = d.items ?? {};
  const fresh = expected.data?.freshness;
  const held = !d.ended_at && !d.cancel_requested && d.held_until ? (Date.parse(d.held_until) - now) / 1000 : 0;
  const when = outlook(d, expected.data?.expectation, now);
  const late = lateness(d, now);
  // What is out of reach for a moment is said where something stood already, so that nothing moves.
  const offline = isOffline(error);
  const legend: [string, string, number | undefined][] = [
    ["good", "sent", n.done], ["busy", "being made", n.running], ["wait", "waiting", n.pending], ["bad", "failed", n.failed], ["off", "left out", n.skipped], ["off", "cancelled", n.cancelled],
  ];
  return (
    <section className="card standing" aria-label="How it stands">
      <div className="say">
        <p className="big" aria-live="polite">{standing(d)}</p>
        <p className="soft">
          {offline ? <span className="offline">{error.message} <button type="button" className="link" onClick={ran}>Try again</button></span> : when} {!offline && d.ended_at && <>It ended <Time at={d.ended_at} />.</>} {!offline && late && <span className={late.bad ? "late" : undefined}>{late.text}</span>}
        </p>
        <Bar label={`${number(n.done ?? 0)} of ${count(n.total ?? 0, "copy", "copies")} are sent`} parts={itemParts(n)} />
        <ul className="legend">
          {legend.map(([tone, text, v]) => (v ?? 0) > 0 && <li key={text} data-tone={tone}><b className="number">{number(v!)}</b> {text}</li>)}
        </ul>
      </div>
      <Facts d={d} link={link} />
      {held > 0 && <Held d={d} left={held} ran={ran} />}
      {fresh && fresh.orchestrator_alive === false && (
        <Notice tone="bad" title="Nothing moves on.">No orchestrator was heard of{fresh.orchestrator_seen_at ? <> since <Time at={fresh.orchestrator_seen_at} /></> : ""}; nothing is lost, and it goes on when one is back.</Notice>
      )}
      {fresh?.note && fresh.orchestrator_alive !== false && <Notice tone="wait">{fresh.note}</Notice>}
      {error && !offline && <Trouble error={error} again={ran} />}
      {!error && expected.error && !isOffline(expected.error) && !expected.data && !d.ended_at && <Notice tone="wait">When it will be over is not known just now: {expected.error.message}</Notice>}
    </section>
  );
}

function Facts({ d, link }: { d: Schemas["Distribution"]; link: StreamLink }) {
  const broken = link === "reconnecting" || link === "ended";
  const names = d.files?.map((f) => f.name).join(", ");
  return (
    <dl className="standingFacts">
      <div>
        <dt>{count(d.files?.length ?? 0, "file")}</dt>
        <dd className="cut" title={names}>{names}</dd>
      </div>
      <div>
        <dt>How</dt>
        <dd>{modes[d.mode ?? ""] ?? d.mode}</dd>
      </div>
      <div>
        <dt>Begun</dt>
        <dd><Time at={d.created_at} /></dd>
      </div>
      <div>
        <dt>This page</dt>
        <dd className="stream" data-link={d.ended_at ? "ended" : broken ? "reconnecting" : link}>
          <span role="status">{d.ended_at ? "Final" : broken ? "Reconnecting…" : link === "connecting" ? "Connecting…" : "Live"}</span>
        </dd>
      </div>
    </dl>
  );
}

/** Held counts down to the end of the undo window; until then all of it can be taken back. */
function Held({ d, left, ran }: { d: Schemas["Distribution"]; left: number; ran: () => void }) {
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  const back = async () => {
    setBusy(true);
    try {
      const after = await data(api.POST("/v1/productions/{production}/distributions/{distribution}:cancel", { params: { path: { production: d.production!, distribution: d.id! } }, body: {} }));
      queries.setQueryData(distributionKey(d.production!, d.id!), after);
      toast("good", `“${titleOf(d)}” was taken back. Nobody was sent anything.`);
    } catch (e) {
      toast("bad", (e as Error).message);
    } finally {
      setBusy(false);
      ran();
    }
  };
  return (
    <div className="held">
      <div className="grow">
        <strong>Nothing has gone out yet.</strong> {d.state === "paused" ? "While it is paused nothing does. Even when it is resumed, the first mail waits another" : "Copies are made meanwhile; the first mail goes in"}{" "}
        <b className="number" role="timer">{span(Math.max(1, Math.ceil(left)))}</b>.
      </div>
      <Button look="main" busy={busy} onClick={() => void back()}>Take it back</Button>
    </div>
  );
}
