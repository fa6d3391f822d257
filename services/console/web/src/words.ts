// What states are called on pages, and how they look. Each state has its word here and nowhere else; the API's own word is
// shown beside it to on-call, since it is what the terminal and the metrics say.

export type Tone = "good" | "busy" | "wait" | "bad" | "off";

export interface Word {
  /** The state in plain words. */
  text: string;
  tone: Tone;
  /** What it means for whoever looks, in one sentence. */
  means: string;
}

const word = (text: string, tone: Tone, means: string): Word => ({ text, tone, means });

export const distributionStates: Record<string, Word> = {
  accepted: word("Accepted", "wait", "It is accepted and kept; its first step has not begun."),
  running: word("On its way", "busy", "Copies are being made and sent."),
  paused: word("Paused", "wait", "Nothing new begins until somebody resumes it."),
  completed: word("Sent to all", "good", "Everybody has their copies."),
  completed_with_failures: word("Sent, not to all", "bad", "It has ended, and some people do not have their copies."),
  failed: word("Failed", "bad", "Nobody was sent their copies."),
  cancelled: word("Cancelled", "off", "Somebody cancelled it; what had been sent by then remains sent."),
};

export const itemStates: Record<string, Word> = {
  pending: word("Waiting", "wait", "Its turn has not come."),
  running: word("Being made", "busy", "The copy is being made or sent."),
  done: word("Sent", "good", "The copy is made, and the person's mail was accepted."),
  failed: word("Failed", "bad", "The person does not have this copy."),
  skipped: word("Left out", "off", "It was left out, as somebody or the definition decided."),
  cancelled: word("Cancelled", "off", "It was cancelled before it was sent."),
};

export const deliveryStates: Record<string, Word> = {
  queued: word("Waiting", "wait", "The mail waits for its copies."),
  sending: word("Being sent", "busy", "The mail server is being spoken to."),
  sent: word("Sent", "good", "The mail server has accepted the mail."),
  uncertain: word("Uncertain", "wait", "The connection broke at the very end: the mail may have arrived or not."),
  delivered: word("Delivered", "good", "The recipient's mail server has confirmed it."),
  deferred: word("Put off", "wait", "The mail server asked to try later; that is done by itself."),
  bounced: word("Bounced", "bad", "It came back: the address does not accept it."),
  blocked: word("Blocked", "bad", "The address is not to be written to."),
  complained: word("Complained", "bad", "The recipient called it spam."),
  failed: word("Not sent", "bad", "The mail could not be sent."),
  cancelled: word("Cancelled", "off", "It was cancelled before it was sent."),
};

export const stepStates: Record<string, Word> = {
  pending: word("Waits for others", "wait", "Steps before it are not done."),
  ready: word("In the queue", "wait", "It could begin and waits for a worker."),
  running: word("Running", "busy", "A worker has it."),
  retrying: word("Tried again soon", "wait", "It failed, and is tried again by itself."),
  done: word("Done", "good", "It is done."),
  failed: word("Failed", "bad", "It failed and is not tried again by itself."),
  skipped: word("Left out", "off", "It was left out."),
  cancelled: word("Cancelled", "off", "It was cancelled."),
};

export const accessStates: Record<string, Word> = {
  active: word("Open", "good", "The link opens."),
  expired: word("Expired", "off", "The link's time is over."),
  revoked: word("Revoked", "bad", "The link was revoked and opens nothing."),
};

/** stateWord finds a state's word; one that this console does not know is shown as it is. */
export function stateWord(words: Record<string, Word>, state: string | undefined): Word {
  return words[state ?? ""] ?? word(state || "Unknown", "off", "");
}

/** count says how many of what there are, in words: count(1, "person", "people"). */
export const count = (n: number, one: string, many = one + "s") => `${number(n)} ${n === 1 ? one : many}`;

const numbers = new Intl.NumberFormat("en");
export const number = (n: number) => numbers.format(n);

/** bytes says a size: 1.4 MB. int64 of the API are strings. */
export function bytes(n: number | string | undefined): string {
  let v = Number(n ?? 0);
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (v < 1000) return `${v < 10 && unit !== "B" ? v.toFixed(1) : Math.round(v)} ${unit}`;
    v /= 1000;
  }
  return `${v.toFixed(1)} TB`;
}

/** seconds reads the API's durations, which are like "1.5s". */
export const seconds = (d: string | null | undefined) => (d ? Number.parseFloat(d) : 0);

/** span says how long something takes: 340 ms, 12 s, 3 min 20 s, 2 h 5 min, 4 days. */
export function span(s: number): string {
  if (s < 0) return `-${span(-s)}`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return pair(Math.floor(s / 60), "min", Math.round(s % 60), "s");
  if (s < 86400) return pair(Math.floor(s / 3600), "h", Math.round((s % 3600) / 60), "min");
  return count(Math.round(s / 86400), "day");
}

const pair = (a: number, unitA: string, b: number, unitB: string) => (b ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`);

/** ago says when something was or will be, beside now, in milliseconds. */
export function ago(t: number, now: number): string {
  const s = Math.abs(now - t) / 1000;
  if (s < 5) return "just now";
  const long = s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 86400 ? `${Math.floor(s / 3600)} h` : count(Math.floor(s / 86400), "day");
  return t <= now ? `${long} ago` : `in ${long}`;
}

export const alertStates: Record<string, Word> = {
  open: word("Open", "bad", "It is so now, and nobody has said that they have it."),
  acknowledged: word("Somebody has it", "wait", "Somebody has said that they have it; it stays until its cause is gone."),
  resolved: word("Over", "good", "It is not so any more."),
};

export const severities: Record<string, Word> = {
  page: word("Urgent", "bad", "Somebody is woken for it."),
  warn: word("Warning", "wait", "It is to be looked at today."),
  info: word("Note", "off", "It is good to know."),
};

export const breakerStates: Record<string, Word> = {
  closed: word("In use", "good", "Steps use it."),
  open: word("Not used for now", "bad", "It failed again and again: nothing of it starts until one step has tried it."),
  half_open: word("Being tried", "wait", "One step tries whether it is well again."),
};

/** capital begins what the server says after a colon elsewhere with a capital letter, as a headline. */
export const capital = (s: string | undefined) => (s ? s[0]!.toUpperCase() + s.slice(1) : "");

/** sentence makes a sentence of what the server says after a colon elsewhere: a capital letter, and a full stop. */
export const sentence = (s: string | undefined) => (s ? `${capital(s)}${/[.!?…:]$/.test(s) ? "" : "."}` : "");
