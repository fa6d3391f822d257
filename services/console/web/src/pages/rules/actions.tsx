import type { Schemas } from "../../api/client";
import { Button, Field, Input } from "../../ui";

type Action = Schemas["Action"];
type Kind = "slack" | "webhook" | "mail" | "pause" | "retry" | "start";

const kinds: Record<Kind, string> = { slack: "Tell a chat", webhook: "Call a webhook", mail: "Send a mail", pause: "Pause what it is about", retry: "Retry what failed", start: "Start a definition" };
const fresh: Record<Kind, Action> = { slack: { slack: { url: "" } }, webhook: { webhook: { url: "", credential: "" } }, mail: { mail: { to: [] } }, pause: { pause: "distribution" }, retry: { retry: true }, start: { start: { production: "", definition: "", request_json: "" } } };
export const kindOf = (a: Action): Kind => (a.slack ? "slack" : a.webhook ? "webhook" : a.mail ? "mail" : a.start ? "start" : a.retry ? "retry" : "pause");

/** doing says what an action does, in words. */
export function doing(a: Action): string {
  switch (kindOf(a)) {
    case "slack":
      return "tells a chat";
    case "webhook":
      return "calls a webhook";
    case "mail":
      return `writes to ${a.mail?.to?.join(", ")}`;
    case "pause":
      return `pauses the ${a.pause}`;
    case "retry":
      return "retries what failed";
    case "start":
      return `starts ${a.start?.definition}`;
  }
}

/** Actions are what a rule does, each once when an alert opens. */
export function Actions({ list, onChange }: { list: Action[]; onChange: (list: Action[]) => void }) {
  const set = (i: number, a: Action) => onChange(list.map((x, j) => (i === j ? a : x)));
  return (
    <div className="field">
      <span className="label">Actions, each once when an alert opens</span>
      {list.length === 0 && <p className="hint">None: the alert stands on the page of alerts, and tells nobody.</p>}
      {list.map((a, i) => {
        const kind = kindOf(a);
        return (
          <div key={i} className="filters" style={{ padding: "var(--space-2) 0" }}>
            <Field label="What">
              {(p) => (
                <select className="input" style={{ width: "100%" }} value={kind} onChange={(e) => set(i, fresh[e.target.value as Kind])} {...p}>
                  {Object.entries(kinds).map(([k, text]) => <option key={k} value={k}>{text}</option>)}
                </select>
              )}
            </Field>
            {kind === "slack" && <Field label="Address">{(p) => <Input type="url" value={a.slack?.url ?? ""} onChange={(e) => set(i, { slack: { url: e.target.value } })} placeholder="https://hooks.slack.com/…" {...p} />}</Field>}
            {kind === "webhook" && (
              <>
                <Field label="Address">{(p) => <Input type="url" value={a.webhook?.url ?? ""} onChange={(e) => set(i, { webhook: { ...a.webhook, url: e.target.value } })} {...p} />}</Field>
                <Field label="Signed by the studio's credential">{(p) => <Input value={a.webhook?.credential ?? ""} onChange={(e) => set(i, { webhook: { ...a.webhook, credential: e.target.value } })} {...p} />}</Field>
              </>
            )}
            {kind === "mail" && <Field label="To, with commas between">{(p) => <Input value={a.mail?.to?.join(", ") ?? ""} onChange={(e) => set(i, { mail: { to: e.target.value.split(/\s*,\s*/) } })} placeholder="oncall@example.com" {...p} />}</Field>}
            {kind === "pause" && (
              <Field label="What is paused">
                {(p) => (
                  <select className="input" style={{ width: "100%" }} value={a.pause} onChange={(e) => set(i, { pause: e.target.value as "distribution" })} {...p}>
                    <option value="distribution">The distribution</option>
                    <option value="function">The function</option>
                    <option value="production">The production</option>
                  </select>
                )}
              </Field>
            )}
            {kind === "start" && (
              <>
                <Field label="Production">{(p) => <Input value={a.start?.production ?? ""} onChange={(e) => set(i, { start: { ...a.start, production: e.target.value } })} {...p} />}</Field>
                <Field label="Definition">{(p) => <Input value={a.start?.definition ?? ""} onChange={(e) => set(i, { start: { ...a.start, definition: e.target.value } })} {...p} />}</Field>
                <Field label="Request as JSON, with {names}">{(p) => <Input value={a.start?.request_json ?? ""} onChange={(e) => set(i, { start: { ...a.start, request_json: e.target.value } })} {...p} />}</Field>
              </>
            )}
            <Button look="quiet" onClick={() => onChange(list.filter((_, j) => j !== i))}>Remove</Button>
          </div>
        );
      })}
      <div className="row"><Button size="small" disabled={list.length >= 10} onClick={() => onChange([...list, fresh.mail])}>Add an action</Button></div>
    </div>
  );
}
