import { Fragment } from "react";
import { Link } from "wouter";
import type { Schemas } from "../../api/client";
import { to } from "../../routes";
import { Copy, Time } from "../../ui";
import { count, type Tone } from "../../words";

const tones: Record<string, Tone> = { waits_worker: "wait", waits_limit: "wait", backing_off: "wait", held: "busy", paused: "wait", late: "wait", slow: "wait", cancelled: "off" };

/** saysIt tells whether an answer has a cause's sentence in it already. */
const saysIt = (answer: string | undefined, sentence: string) => !!answer?.toLowerCase().includes(sentence.toLowerCase().replace(/\.$/, ""));

/** Causes say what something comes from, worst first, each with what can be done about it; what the answer above said is not said twice. */
export function Causes({ causes, answer }: { causes: Schemas["Cause"][]; answer?: string }) {
  return (
    <ul className="causes">
      {causes.map((c, i) => (
        <li key={i} data-tone={tones[c.kind ?? ""] ?? "bad"}>
          {!saysIt(answer, c.sentence ?? "") && <p>{c.sentence}</p>}
          {c.remedy && <Remedy text={c.remedy} />}
          <p className="faint">
            {c.since && <>Since <Time at={c.since} />. </>}
            {(c.recipients ?? 0) > 0 && <>It hurts {count(c.recipients!, "person", "people")}{(c.distributions ?? 0) > 1 ? ` in ${count(c.distributions!, "distribution")}` : ""}. </>}
            {c.subject && <code>{c.subject}</code>}
          </p>
        </li>
      ))}
    </ul>
  );
}

/** Remedy is what to do; a command in it can be copied. */
function Remedy({ text }: { text: string }) {
  const parts = text.split(/(\bfiligree [a-z][^.;,]*(?:\.[^\s.;,][^.;,]*)*)/);
  const command = parts[1];
  return (
    <p className="soft">
      {parts.map((p, i) => (i % 2 ? <code key={i}>{p}</code> : <Fragment key={i}>{p}</Fragment>))}
      {command && <Copy text={command} name={`the command ${command}`} />}
    </p>
  );
}

/** Hurt names people, copies or files, each leading to its story. */
export function Hurt({ hits, more }: { hits: Schemas["Hit"][]; more: number }) {
  return (
    <ul className="hurt">
      {hits.map((h, i) => (
        <li key={i}>
          <Link href={to.story(h.production!, h.distribution!, h.unit || "d")} title={h.detail}>{h.name || h.unit}</Link>
        </li>
      ))}
      {more > 0 && <li className="faint">and {more} more</li>}
    </ul>
  );
}
