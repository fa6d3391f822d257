import { Area, Card, Choice, Field, Input } from "../../ui";
import { count } from "../../words";
import { titleOf, type Change, type Draft, type Mode } from "./draft";

const lifetimes = [1, 3, 7, 14, 30, 90, 180, 365];

/** wrongDeadline says what is wrong with a deadline. */
export const wrongDeadline = (d: Draft) => (d.deadline && !(Date.parse(d.deadline) > Date.now()) ? "The deadline is over already." : undefined);

/** How is in which way copies go out, and what the mail says. */
export function How({ draft: d, change, drive }: { draft: Draft; change: Change; drive: boolean }) {
  const modes: [Mode, string][] = [["attachment", "Attachment"], ["link", "Link"]];
  if (drive || d.mode === "drive") modes.push(["drive", "Google Drive"]);
  const title = titleOf(d) || "the names of the files";
  return (
    <Card title="How">
      <div className="stack">
        <div className="sendPair">
          <div className="stack" style={{ gap: "var(--space-1)" }}>
            <Choice label="Copies come as" value={d.mode} options={modes} onChange={(mode) => change({ mode })} />
            <span className="faint">
              {d.mode === "attachment" ? "In the mail itself. What has arrived cannot be called back."
                : d.mode === "link" ? "A page of each person's own, to read and download. It can be revoked, and shows who opened what."
                : "In Google Drive, shared with the one person only."}
            </span>
          </div>
          <div className="stack" style={{ gap: "var(--space-1)" }}>
            <Choice label="Password" value={d.password} options={[["none", "None"], ["generate", "One for each"]]} onChange={(password) => change({ password })} />
            <span className="faint">{d.password === "generate" ? "Each person's copies open with a password of their own. You see the passwords afterwards, and tell them another way than by this mail." : "Whoever has the copy can open it."}</span>
          </div>
        </div>
        <Field label="Subject of the mail" hint={d.subject ? undefined : `Empty: ${title}.`}>
          {(a) => <Input {...a} value={d.subject} maxLength={200} onChange={(e) => change({ subject: e.target.value })} />}
        </Field>
        <Field label="Text of the mail" hint="Stands above the copies, or above the link to them. May be left empty.">
          {(a) => <Area {...a} rows={3} value={d.text} maxLength={16000} onChange={(e) => change({ text: e.target.value })} />}
        </Field>
        <div className="sendPair">
          {d.mode !== "attachment" && (
            <Field label="Links work for" hint="Afterwards they open nothing.">
              {(a) => (
                <select {...a} className="input" value={d.linkDays} onChange={(e) => change({ linkDays: Number(e.target.value) })}>
                  {[...new Set([...lifetimes, d.linkDays])].sort((x, y) => x - y).map((n) => <option key={n} value={n}>{n === 365 ? "a year" : count(n, "day")}</option>)}
                </select>
              )}
            </Field>
          )}
          <Field label="Should be out by" wrong={wrongDeadline(d)} hint="Empty: as soon as can be. An early one goes before others.">
            {(a) => <Input {...a} type="datetime-local" value={d.deadline} onChange={(e) => change({ deadline: e.target.value })} />}
          </Field>
        </div>
        <details className="sendMore">
          <summary>More</summary>
          <div className="stack">
            <Field label="Title in this console" hint={`How you find it again; recipients see it only where the subject is empty. Empty: ${titleOf({ ...d, title: "" }) || "the names of the files"}.`}>
              {(a) => <Input {...a} value={d.title} maxLength={200} onChange={(e) => change({ title: e.target.value })} />}
            </Field>
            <div className="stack" style={{ gap: "var(--space-1)" }}>
              <Choice label="If a file cannot be marked for somebody" value={d.onFailure} options={[["send_available", "Send them the others"], ["hold", "Send them nothing"]]} onChange={(onFailure) => change({ onFailure })} />
            </div>
          </div>
        </details>
      </div>
    </Card>
  );
}
