import { useState } from "react";
import { Ask, Button, Notice, Trouble, useNow } from "../../ui";
import { bytes, count, number } from "../../words";
import type { Change, Draft } from "./draft";
import { together, type Finding } from "./findings";
import type { Sending } from "./intent";

const tones = { refuses: "bad", warns: "wait", tells: "off" } as const;
const words = { refuses: "missing", warns: "look at this", tells: "to know" } as const;

/** Summary is always in sight: how much goes to how many, what is missing, and the button that does it. */
export function Summary(p: { draft: Draft; change: Change; findings: Finding[]; checked: string; sending: Sending; send: () => void; again: () => void; giveUp: () => void; listing: string }) {
  const { draft: d, findings } = p;
  const people = d.rows.length;
  const files = d.files.length;
  const refuses = findings.filter((f) => f.severity === "refuses");
  const ready = refuses.length === 0;
  const mail = together(d);
  const ways = { attachment: "attached to a mail", link: "by a link of their own", drive: "in Google Drive" };
  return (
    <section className="card sendSummary" aria-label="Summary">
      <div className="sendSums" aria-live="polite" aria-atomic>
        <p className="sendCount number">
          <strong>{count(files, "file")} × {count(people, "person", "people")} = {count(files * people, "copy", "copies")}</strong>
        </p>
        <p className="faint number">
          {[files > 0 && `${bytes(mail)} to each`, ways[d.mode], d.password === "generate" && "a password for each", d.mode !== "attachment" && `open for ${count(d.linkDays, "day")}`].filter(Boolean).join(", ")}
        </p>
      </div>
      <ul className="sendFindings" aria-label="What to know before sending">
        {findings.map((f, i) => (
          <li key={`${f.code} ${f.whom ?? ""} ${i}`} data-tone={f.code.endsWith("_MISSING") ? "off" : tones[f.severity]}>
            <span className="unseen">{words[f.severity]}: </span>
            <span className="grow">{f.whom ? <strong>{f.whom}: </strong> : null}{f.sentence}</span>
            {f.act && <Button size="small" onClick={() => p.change(f.act!.change)}>{f.act.text}</Button>}
          </li>
        ))}
        {findings.length === 0 && <li data-tone="good"><span className="grow">Nothing is missing.</span></li>}
      </ul>
      <div className="sendEnd">
        <State {...p} />
        {p.sending.state !== "unsure" && (
          <Button look="main" disabled={!ready} busy={p.sending.state === "asking"} onClick={p.send} aria-describedby="sendUndo">
            {p.sending.state === "asking" ? "Sending…" : people > 0 ? `Send to ${count(people, "person", "people")}` : "Send"}
          </Button>
        )}
        <p id="sendUndo" className="faint">{p.checked || "You can undo it for ten seconds."}</p>
      </div>
    </section>
  );
}

function State(p: { sending: Sending; again: () => void; giveUp: () => void; listing: string; draft: Draft }) {
  const s = p.sending;
  const now = useNow();
  const [giving, setGiving] = useState(false);
  if (s.state === "refused") return <div><Trouble error={s.error} /><p className="faint">Nothing was sent.</p></div>;
  if (s.state !== "unsure") return null;
  const left = Math.max(0, Math.ceil((s.next - now) / 1000));
  return (
    <>
      <Notice tone="wait" alert title="It is not known whether it was accepted.">
        {s.error.message} {s.next > 0 ? `It is asked again in ${number(left)} s.` : "Ask again to find out."} However often it is asked, it is sent once.
      </Notice>
      <div className="row">
        <Button look="main" onClick={p.again}>Ask again now</Button>
        <Button onClick={() => setGiving(true)}>Change it instead…</Button>
      </div>
      <Ask title="Change it, without knowing?" open={giving} onClose={() => setGiving(false)} yes="Change it" look="bad" act={async () => p.giveUp()}>
        <p>
          The one before may have been accepted: {count(p.draft.rows.length, "person", "people")} may get it. What you send then is another one, which goes out besides.
          Look at <a href={p.listing} target="_blank" rel="noreferrer">the list of distributions</a> first.
        </p>
      </Ask>
    </>
  );
}
