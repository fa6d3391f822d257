import type { Schemas } from "../../api/client";

type Rule = Schemas["Rule"];

export type On = "event" | "distribution" | "failures" | "function" | "worker" | "resource" | "limit" | "run" | "heartbeat";

/** onWords is what a rule looks at, in words. */
export const onWords: Record<On, string> = {
  distribution: "each open distribution",
  failures: "each group of failures",
  function: "each function's queue",
  worker: "each worker",
  resource: "each resource",
  limit: "each limit",
  event: "each event, as it happens",
  run: "each run elsewhere",
  heartbeat: "orchestrators, Redis, observers",
};

const plain = /^[A-Za-z][\w .,/@-]*$/;
const special = /^(true|false|yes|no|on|off|null|~)$/i;

/** quoted writes a text as YAML reads it back. */
const quoted = (s: string) => (s.includes("\n") ? JSON.stringify(s) : plain.test(s) && !special.test(s) && !s.endsWith(" ") ? s : `'${s.replaceAll("'", "''")}'`);

/** time writes the API's "120s" as people do: 2m. */
export function time(d: string | null | undefined): string {
  if (!d) return "";
  const s = Number.parseFloat(d);
  if (s >= 3600 && s % 3600 === 0) return `${s / 3600}h`;
  if (s >= 60 && s % 60 === 0) return `${s / 60}m`;
  return `${s}s`;
}

/** duration reads 30s, 5m, 2h or 1d as the API wants it: "300s". Undefined: it is none. */
export function duration(text: string): string | undefined {
  const m = /^(\d+(?:\.\d+)?)\s*(s|m|min|h|d)$/.exec(text.trim());
  if (!m) return undefined;
  return `${Number(m[1]) * { s: 1, m: 60, min: 60, h: 3600, d: 86400 }[m[2] as "s" | "m" | "min" | "h" | "d"]}s`;
}

function action(a: Schemas["Action"]): string {
  if (a.slack) return `slack: ${quoted(a.slack.url ?? "")}`;
  if (a.webhook) return `webhook: {url: ${JSON.stringify(a.webhook.url ?? "")}${a.webhook.credential ? `, credential: ${a.webhook.credential}` : ""}}`;
  if (a.mail) return `mail: [${(a.mail.to ?? []).map(quoted).join(", ")}]`;
  if (a.start) return `start: {production: ${quoted(a.start.production ?? "")}, definition: ${quoted(a.start.definition ?? "")}, request: ${JSON.stringify(a.start.request_json ?? "")}}`;
  if (a.retry) return "retry: true";
  return `pause: ${a.pause}`;
}

/** write makes the YAML that ApplyRules takes. */
export const write = (rules: Rule[]) => rules.map(one).join("\n");

function one(r: Rule): string {
  const lines = [`- name: ${r.name}`];
  const add = (name: string, value: string | undefined | null) => value && lines.push(`  ${name}: ${value}`);
  add("title", r.title && quoted(r.title));
  add("on", r.on);
  add("when", r.when && quoted(r.when));
  add("for", time(r.for));
  add("absent", time(r.absent));
  add("productions", r.productions?.length ? `[${r.productions.join(", ")}]` : "");
  add("group", r.group && quoted(r.group));
  add("severity", r.severity);
  add("sentence", r.sentence && quoted(r.sentence));
  add("disabled", r.disabled ? "true" : "");
  if (r.actions?.length) {
    lines.push("  actions:");
    for (const a of r.actions) lines.push(`  - ${action(a)}`);
  }
  return lines.join("\n") + "\n";
}
