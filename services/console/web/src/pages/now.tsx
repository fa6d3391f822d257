import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { hitPath } from "../palette";
import { to } from "../routes";
import { Card, Go, Loaded, PageHead, State, Time } from "../ui";
import { capital, count, distributionStates, number, stateWord } from "../words";
import { AlertLine, GroupLine } from "./oncall/lines";
import "./oncall/oncall.css";
import { every, Fresh, hurts, OfProduction, Told, useNames, useParams } from "./oncall/parts";

/** Now answers first of all whether anything is wrong; what that rests on stands below. */
export default function Now() {
  const [param] = useParams();
  const production = param("production");
  const overview = useQuery({
    queryKey: ["overview", production],
    queryFn: () => data(api.GET("/v1/overview", { params: { query: { production } } })),
    refetchInterval: every,
    placeholderData: keepPreviousData,
  });
  return (
    <>
      <PageHead title="Now" actions={<OfProduction />} />
      <Loaded query={overview} lines={8}>{(o) => <Overview o={o} />}</Loaded>
    </>
  );
}

function Overview({ o }: { o: Schemas["GetOverviewResponse"] }) {
  const causes = o.causes ?? [];
  // The first cause is usually what the answer says: its facts stand with the answer, its words are not said twice.
  const first = causes.find((c) => same(c.sentence, o.sentence));
  const others = causes.filter((c) => c !== first);
  const since = first?.since ?? causes.map((c) => c.since).filter(Boolean).sort()[0];
  // What changed last before it began is what one asks for first.
  const change = since ? o.changes?.find((c) => c.time! <= since) : undefined;
  const alerts = o.alerts ?? [];
  const tone = o.well ? "good" : alerts.some((a) => a.severity === "page") || first ? "bad" : "wait";
  // Where the answer says it already, what it means for this page stands below.
  const away = causes.some((c) => c.kind === "orchestrator_down" || c.kind === "redis_down");
  return (
    <>
      {!away && <Fresh of={o.freshness} />}
      <section className="answer" data-tone={tone} aria-label="Whether anything is wrong now" aria-live="polite">
        <p className="sentence" data-long={(o.sentence?.length ?? 0) > 110 || undefined}>{capital(o.sentence) || (o.well ? "Nothing is wrong." : "Something is wrong.")}</p>
        {!o.well && (
          <div className="asides">
            {since && <span>Since <Time at={since} /></span>}
            {first && hurts(first) && <span>Hurts {hurts(first)}</span>}
            {change && <span>Before it: {change.sentence?.replace(/\.$/, "")}, <Time at={change.time} /></span>}
          </div>
        )}
        {first?.remedy && <p className="remedy"><Told text={first.remedy} /></p>}
        {first && <div className="row"><CauseWay c={first} main /></div>}
      </section>
      {away && <Fresh of={o.freshness} />}
      <div className="two">
        <div>
          {others.length > 0 && (
            <Card title={first ? "What else is wrong" : "What it comes from"} bare>
              <ul className="lines">{others.map((c, i) => <CauseLine key={`${c.kind} ${c.subject} ${i}`} c={c} />)}</ul>
            </Card>
          )}
          <Card title={alerts.length ? `${count(alerts.length, "open alert")}` : "Open alerts"} actions={<Go to={to.alerts()} size="small" look="quiet">All alerts</Go>} bare>
            {alerts.length ? <ul className="lines">{alerts.map((a) => <AlertLine key={a.id} a={a} />)}</ul> : <p className="calm">No alert is open.</p>}
          </Card>
          <Card title="What fails" actions={<Go to={to.failures()} size="small" look="quiet">All failures</Go>} bare>
            {o.failures?.length ? <ul className="lines">{o.failures.map((g) => <GroupLine key={g.fingerprint} g={g} />)}</ul> : <p className="calm">Nothing fails that somebody would have to look after.</p>}
          </Card>
          <Card title="Late" actions={<Go to={`${to.search()}?late=1`} size="small" look="quiet">All that is late</Go>} bare>
            {o.late?.length ? <Late hits={o.late} /> : <p className="calm">Every distribution is within its time.</p>}
          </Card>
        </div>
        <div>
          <Card title="Under way" bare><Counts of={o.distributions ?? {}} /></Card>
          <Card title="What changed" bare><Changes list={o.changes ?? []} /></Card>
        </div>
      </div>
    </>
  );
}

const same = (a?: string, b?: string) => !!a && !!b && (a.toLowerCase() === b.toLowerCase() || b.toLowerCase().startsWith(a.toLowerCase()));

function CauseLine({ c }: { c: Schemas["Cause"] }) {
  return (
    <li>
      <div className="head"><span className="title">{capital(c.sentence)}</span></div>
      {c.remedy && <p className="words"><Told text={c.remedy} /></p>}
      <div className="asides faint">
        {c.since && <span>since <Time at={c.since} /></span>}
        {hurts(c) && <span>hurts {hurts(c)}</span>}
      </div>
      <div className="acts"><CauseWay c={c} /></div>
    </li>
  );
}

/** Where what a cause is about is looked at and dealt with. */
function CauseWay({ c, main }: { c: Schemas["Cause"]; main?: boolean }) {
  const q = encodeURIComponent(c.subject ?? "");
  const ways: Record<string, [string, string]> = {
    failed: [`${to.failures()}?code=${q}`, "See whom it hurts"],
    refused: [`${to.failures()}?code=${q}`, "See whom it hurts"],
    quarantined: [`${to.failures()}?code=${q}`, "See whom it hurts"],
    backing_off: [to.failures(), "See what fails"],
    waits_limit: [`${to.queues()}?tab=limits`, "See the limits"],
    breaker_open: [`${to.queues()}?tab=resources`, "See the resource"],
    credential: [`${to.queues()}?tab=resources`, "See the resource"],
    paused: [to.queues(), "See what is paused"],
    no_worker: [to.workers(), "See the workers"],
    waits_worker: [to.workers(), "See the workers"],
    stuck_lease: [to.workers(), "See the workers"],
    old_worker: [to.workers(), "See the workers"],
    slow: [to.workers(), "See the workers"],
    late: [`${to.search()}?late=1`, "See what is late"],
  };
  const way = ways[c.kind ?? ""];
  return way ? <Go to={way[0]} size={main ? undefined : "small"} look={main ? "main" : undefined}>{way[1]}</Go> : null;
}

function Late({ hits }: { hits: Schemas["Hit"][] }) {
  const name = useNames();
  return (
    <ul className="lines">
      {hits.map((h) => (
        <li key={h.distribution}>
          <div className="head">
            <Link href={hitPath({ ...h, unit: "" })} className="title">{h.name || h.distribution}</Link>
            <State of={distributionStates} is={h.state} />
          </div>
          {h.detail && <p className="words">{capital(h.detail)}</p>}
          <div className="asides faint"><span>{name(h.production)}</span><span><Time at={h.time} /></span></div>
        </li>
      ))}
    </ul>
  );
}

function Counts({ of }: { of: Record<string, number> }) {
  const states = Object.keys(of).filter((s) => of[s]);
  if (states.length === 0) return <p className="calm">No distribution is under way.</p>;
  return (
    <dl className="counts">
      {states.map((s) => {
        const w = stateWord(distributionStates, s);
        return (
          <div key={s}>
            <dt title={w.means}>{w.text}</dt>
            <dd><Link href={`${to.search()}?state=${s}`} style={{ color: "inherit" }}>{number(of[s]!)}</Link></dd>
          </div>
        );
      })}
    </dl>
  );
}

const changeWords: Record<string, string> = { worker: "Worker", definition: "Definition", limit: "Limit", pause: "Pause", release: "Release", production: "Production", rule: "Rule" };

function Changes({ list }: { list: Schemas["Change"][] }) {
  if (list.length === 0) return <p className="calm">Nothing has changed lately: no worker, definition, limit, pause or rule.</p>;
  return (
    <ol className="times">
      {list.map((c, i) => (
        <li key={`${c.time} ${i}`}>
          <div>{c.sentence}</div>
          <div className="asides faint">
            <Time at={c.time} />
            <span>{changeWords[c.kind ?? ""] ?? c.kind}</span>
            {c.by && <span className="cut" title={c.by}>by {c.by}</span>}
          </div>
        </li>
      ))}
    </ol>
  );
}
