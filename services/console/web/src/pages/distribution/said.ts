// What a distribution, its people and its events are, in sentences.
import { type Schemas } from "../../api/client";
import { capital, count, deliveryStates, distributionStates, itemStates, number, seconds, sentence, span, stateWord } from "../../words";

/** distributionKey is under what a distribution is kept for all pages; its stream writes there. */
export const distributionKey = (production: string, distribution: string) => ["distribution", production, distribution];

export const titleOf = (d: Schemas["Distribution"]) => d.title || d.files?.[0]?.name || d.id || "";

export const modes: Record<string, string> = { attachment: "Attached to the mail", link: "By link", drive: "By Google Drive" };

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** clockTime is a time of day, with the date unless that is today's. */
export function clockTime(at: string | number, now = Date.now()): string {
  const t = typeof at === "number" ? at : Date.parse(at);
  return new Date(t).toDateString() === new Date(now).toDateString() ? clock.format(t) : `${clock.format(t)} on ${day.format(t)}`;
}

/** standing says in a sentence how far a distribution is. */
export function standing(d: Schemas["Distribution"]): string {
  const n = d.items ?? {};
  const total = n.total ?? 0;
  const done = n.done ?? 0;
  const people = count(d.recipients?.total ?? 0, "person", "people");
  const reached = (d.recipients?.sent ?? 0) + (d.recipients?.delivered ?? 0) + (d.recipients?.complained ?? 0);
  const failed = n.failed ? ` ${capital(count(n.failed, "copy", "copies"))} failed.` : "";
  const left = [n.cancelled && `${number(n.cancelled)} cancelled`, n.skipped && `${number(n.skipped)} left out`].filter(Boolean).join(", ");
  const more = left ? ` ${capital(left)}.` : "";
  const progress = done === 0 ? `None of ${total === 1 ? "1 copy" : `the ${count(total, "copy", "copies")}`} for ${people} is sent yet.${failed}${more}` : `${number(done)} of ${count(total, "copy", "copies")} ${done === 1 ? "is" : "are"} sent, to ${people} in all.${failed}${more}`;
  switch (d.state) {
    case "completed":
      return `All ${count(total, "copy", "copies")} went out to ${people}.`;
    case "completed_with_failures":
      return `${number(done)} of ${count(total, "copy", "copies")} went out, to ${number(reached)} of ${people}.${failed}${more}`;
    case "failed":
      return `None of ${count(total, "copy", "copies")} reached anybody.${failed}${more}`;
    case "cancelled":
      return done ? `It was cancelled. ${number(done)} of ${count(total, "copy", "copies")} had been sent by then, and remain sent.` : `It was cancelled before anything was sent.`;
    case "paused":
      return `Nothing new begins until somebody resumes it. ${progress}`;
    case "accepted":
      return `It is accepted; the first of ${count(total, "copy", "copies")} for ${people} is about to be made.`;
  }
  return d.cancel_requested ? `It is being cancelled: what runs comes to its end. ${progress}` : progress;
}

/** outlook says when it will be over, or why nobody can tell; empty of one that has ended. */
export function outlook(d: Schemas["Distribution"], e: Schemas["Expectation"] | null | undefined, now: number): string {
  if (d.ended_at || !e) return "";
  if (!e.eta_p50) {
    if (!e.reason) return "";
    return d.state === "paused" ? sentence(e.reason) : `When it will be over is not known: ${e.reason.replace(/\.$/, "")}.`;
  }
  const in50 = Date.parse(e.eta_p50) - now;
  const in90 = e.eta_p90 ? Date.parse(e.eta_p90) - now : 0;
  const rough = (ms: number) => (ms < 1500 ? "any moment now" : `in ${span(ms < 60_000 ? Math.ceil(ms / 1000) : Math.ceil(ms / 10_000) * 10)}`);
  const late = in90 > in50 + 2000 ? `; nine times in ten ${rough(in90)} (${clockTime(e.eta_p90!, now)})` : "";
  return `Likely over ${rough(in50)} (${clockTime(e.eta_p50, now)})${late}.`;
}

/** lateness says how late it is or was, and whether anybody is let down: a deadline that nobody gave is a guess by its size. */
export function lateness(d: Schemas["Distribution"], now: number): { text: string; bad: boolean } | undefined {
  const s = seconds(d.late_by);
  if (s <= 0 || (d.held_until && Date.parse(d.held_until) > now)) return undefined;
  const given = Date.parse(d.deadline ?? "") - Date.parse(d.created_at ?? "");
  const guessed = Math.abs(given - 5000 - 50 * (d.items?.total ?? 0)) < 1000;
  // Of an ended one it may be that somebody sent a part of it again, much later.
  if (guessed && d.ended_at) return undefined;
  if (guessed) return { text: `That is ${span(s)} longer than is usual for its size.`, bad: false };
  return { text: d.ended_at ? `It ended ${span(s)} past its deadline.` : `It is ${span(s)} past its deadline.`, bad: true };
}

/** copySaid is what stands behind one cell: whose copy of what, how it is, and why. */
export function copySaid(file: string, person: string, state: string, note: string | undefined): string {
  if (!state) return `${file} for ${person}: not known yet.`;
  const w = stateWord(itemStates, state);
  return `${file} for ${person}: ${w.text}. ${note ?? w.means}`;
}

/** deliverySaid says how a person's mail is, and why. */
export function deliverySaid(d: Schemas["Delivery"] | null | undefined): string {
  if (!d) return "This definition sends no mail.";
  const w = stateWord(deliveryStates, d.state);
  const why = d.error?.message && d.state !== "sent" && d.state !== "delivered" ? ` ${sentence(d.error.message)}` : "";
  const twice = d.maybe_duplicate ? " An attempt before may have arrived, too." : "";
  return `${w.means}${why}${twice}`;
}

/** unitSaid names a unit: "d", "f2", "r7", "i2.7". */
export function unitSaid(unit: string | undefined, files: Schemas["FileRef"][] | undefined, person?: (n: number) => string | undefined): string {
  const m = /^([fri])(\d+)(?:\.(\d+))?$/.exec(unit ?? "");
  if (!m) return unit === "d" || !unit ? "the distribution" : unit;
  const file = (n: number) => files?.[n - 1]?.name || `file ${n}`;
  const who = (n: number) => person?.(n - 1) ?? `person ${n}`;
  if (m[1] === "f") return file(Number(m[2]));
  if (m[1] === "r") return who(Number(m[2]));
  return `${file(Number(m[2]))} for ${who(Number(m[3]))}`;
}

/** actor is who did something, as people say it. */
const actor = (by: string | undefined) => by || "Somebody";

/** eventSaid is an event in one plain sentence. */
export function eventSaid(e: Schemas["Event"], what: string): string {
  const took = e.started_at && e.time ? span(Math.max(0, (Date.parse(e.time) - Date.parse(e.started_at)) / 1000)) : "";
  const why = e.error ? `: ${(e.error.message || e.error.code || "").replace(/\.$/, "")}` : "";
  const nth = (e.attempt ?? 0) > 1 ? `, attempt ${e.attempt}` : "";
  switch (e.kind) {
    case "accepted":
      return "The distribution was accepted.";
    case "planned":
      return "Its steps are laid out.";
    case "started":
      return "Its first step began.";
    case "paused":
      return `${actor(e.worker)} paused it.`;
    case "resumed":
      return `${actor(e.worker)} let it go on.`;
    case "cancel_requested":
      return `${actor(e.worker)} cancelled it.`;
    case "stopped":
      return "It stopped by itself, because more copies failed than its policy tolerates.";
    case "retry_requested":
      return `${actor(e.worker)} asked for a retry${e.text ? `: ${e.text}` : ""}.`;
    case "skip_requested":
    case "end_requested":
      return `${actor(e.worker)} asked to give up what fails${e.text ? `: ${e.text}` : ""}.`;
    case "retry":
      return `What failed runs again for ${what}.`;
    case "resend":
      return `${actor(e.worker)} sent to ${what} again${e.text ? `: ${e.text}` : ""}.`;
    case "skip":
    case "skipped":
      return `What failed of ${what} is left out.`;
    case "cancelled":
      return `What had not ended of ${what} is cancelled.`;
    case "ended":
      return `It ended: ${stateWord(distributionStates, e.state).text.toLowerCase()}.`;
    case "attempt":
      break;
    default:
      return `${capital((e.kind ?? "").replaceAll("_", " "))}${e.text ? `: ${e.text}` : ""}.`;
  }
  const [thing, done] = stepSaid(e.step ?? "", what);
  const step = capital(thing);
  switch (e.state) {
    case "done":
      return `${step} ${done}${took && ` in ${took}`}${nth}.`;
    case "failed":
      return `${step} failed for good${took && ` after ${took}`}${nth}${why}.`;
    case "retrying":
      return `${step} failed${took && ` after ${took}`}${nth}, and is tried again${e.retry_at ? ` at ${clockTime(e.retry_at)}` : ""}${why}.`;
    case "skipped":
      return `${step} was not needed.`;
    case "cancelled":
      return `${step} was given up${why}.`;
  }
  return `${step} came back from the worker${took && ` after ${took}`}${nth}${why}.`;
}

/** stepSaid names what a step makes for a unit, and that it is made; steps that are somebody's own go by their names. */
function stepSaid(step: string, what: string): [string, string] {
  switch (step) {
    case "prepare":
      return [`reading ${what}`, "is done"];
    case "watermark":
      return [`the copy of ${what}`, "was made"];
    case "thumbnail":
      return [`the picture of ${what}`, "was drawn"];
    case "link":
      return [`the link for ${what}`, "was made"];
    case "email":
      return [`the mail to ${what}`, "was sent"];
    case "push":
      return [`the push message to ${what}`, "was sent"];
  }
  return [`${step} of ${what}`, "is done"];
}
