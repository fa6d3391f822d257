import type { ReactNode } from "react";
import { Link } from "wouter";
import type { Schemas } from "../../api/client";
import { to } from "../../routes";
import { State, Time } from "../../ui";
import { alertStates, capital, count, number, severities } from "../../words";
import { hurts, useNames } from "./parts";

/** AlertLine is an alert in a list: what it is called, whether somebody has it, since when. */
export function AlertLine({ a, acts }: { a: Schemas["Alert"]; acts?: ReactNode }) {
  const name = useNames();
  return (
    <li>
      <div className="head">
        <Link href={to.alerts(a.id)} className="title">{a.title || a.rule}</Link>
        <State of={severities} is={a.severity} />
        {a.state !== "open" && <State of={alertStates} is={a.state} />}
      </div>
      <p className="words clamp">{a.sentence}</p>
      <div className="asides faint">
        <span>since <Time at={a.since} /></span>
        {a.state === "resolved" && <span>over <Time at={a.resolved_at} /></span>}
        {a.production && <span>{name(a.production)}</span>}
        {(a.count ?? 0) > 1 && <span>{number(a.count!)} alike</span>}
        {a.acknowledged_by && <span>{a.acknowledged_by} has it</span>}
      </div>
      {acts && <div className="acts">{acts}</div>}
    </li>
  );
}

/** GroupLine is a group of failures that are alike. */
export function GroupLine({ g, acts, children }: { g: Schemas["FailureGroup"]; acts?: ReactNode; children?: ReactNode }) {
  return (
    <li id={`f-${g.fingerprint}`}>
      <div className="head">
        <Link href={`${to.failures()}?group=${g.fingerprint}`} className="title">{capital(g.signature || g.example || g.code)}</Link>
        <span className="number soft">{g.open ? `${count(g.open, "failure")} open` : "over"}</span>
      </div>
      <p className="words">{g.summary}</p>
      <div className="asides faint">
        {hurts(g) && <span>hurts {hurts(g)}</span>}
        <span>last <Time at={g.last_at} /></span>
        <code>{g.code}</code>
        <span>{g.step}, <code>{g.function}</code></span>
      </div>
      {children}
      {acts && <div className="acts">{acts}</div>}
    </li>
  );
}
