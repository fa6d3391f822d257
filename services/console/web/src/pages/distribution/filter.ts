// Which people are shown: by how they are and by what is typed. Pure; 10,000 people take a few milliseconds.
import type { Recipient, Sheet } from "./sheet";
import { deliveryStates, stateWord } from "../../words";

export type Group = "" | "trouble" | "open" | "sent" | "opened" | "unopened";

export const groups: [Group, string][] = [["", "All"], ["trouble", "Trouble"], ["open", "On the way"], ["sent", "Sent"], ["opened", "Opened"], ["unopened", "Not opened"]];

/** isIn tells whether somebody belongs to a group. */
export function isIn(r: Recipient, group: Group): boolean {
  const n = r.items ?? {};
  const d = r.delivery;
  const out = d?.state === "sent" || d?.state === "delivered";
  switch (group) {
    case "":
      return true;
    case "trouble":
      return (n.failed ?? 0) > 0 || (n.cancelled ?? 0) > 0 || d?.state === "uncertain" || d?.state === "deferred" || (!!d && stateWord(deliveryStates, d.state).tone === "bad");
    case "open":
      return (n.pending ?? 0) + (n.running ?? 0) > 0;
    case "sent":
      return out;
    case "opened":
      return !!(d?.viewed_at || d?.downloaded_at);
    case "unopened":
      return out && !!d?.access && !d.viewed_at && !d.downloaded_at;
  }
}

const texts = new WeakMap<Recipient, string>();

/** textOf is what is searched of somebody: name, address and the fields of their mark. */
function textOf(r: Recipient): string {
  let t = texts.get(r);
  if (t === undefined) {
    t = plain([r.name, r.email, ...Object.values(r.fields ?? {})].join(" "));
    texts.set(r, t);
  }
  return t;
}

/** plain is text as it is compared: without case and accents, so that "sofia" finds Sofía. */
export const plain = (s: string) => s.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

export interface Shown {
  /** Numbers of the people shown, counted from 0. */
  people: number[];
  /** How many are in each group. */
  counts: Record<Group, number>;
}

/** shown picks the people of a group whose text has all of the words. */
export function shown(sheet: Sheet, group: Group, words: string): Shown {
  const parts = plain(words).split(/\s+/).filter(Boolean);
  const people: number[] = [];
  const counts: Record<Group, number> = { "": sheet.total, trouble: 0, open: 0, sent: 0, opened: 0, unopened: 0 };
  const all = group === "" && parts.length === 0;
  for (let n = 0; n < sheet.total; n++) {
    const r = sheet.people[n];
    if (r) for (const [g] of groups) if (g && isIn(r, g)) counts[g]++;
    if (all || (r && isIn(r, group) && parts.every((p) => textOf(r).includes(p)))) people.push(n);
  }
  return { people, counts };
}
