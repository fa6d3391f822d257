// A distribution as it is being written. It survives a reload of the tab; bytes of files do not lie in it.
import { useCallback, useEffect, useRef, useState } from "react";
import type { Schemas } from "../../api/client";
import { domainOf, domains, isAddress, key, meant, nameFrom, troubleWith, type AddressTrouble } from "./address";
import type { Parsed, Reading } from "./parse";

export interface Row {
  id: number;
  name: string;
  email: string;
  fields: Record<string, string>;
  /** The name is made of the address; nobody wrote it. */
  guessed?: boolean;
  /** Somebody said that an address which looks mistyped is right. */
  sure?: boolean;
  /** The person in the directory that this is, untouched. */
  person?: string;
  /** Lists picked that they are in. */
  lists?: string[];
  /** Written here, or changed here: what stands here counts, not what the directory says. */
  own?: boolean;
}

/** Picked is a saved list as it was picked. One that is whole goes to whoever is in it. */
export interface Picked {
  id: string;
  name: string;
  whole: boolean;
}

export type Mode = "attachment" | "link" | "drive";

export interface Draft {
  files: Schemas["File"][];
  rows: Row[];
  columns: string[];
  lists: Picked[];
  mode: Mode;
  password: "none" | "generate";
  linkDays: number;
  /** Local time as a field of a form has it; empty: none. */
  deadline: string;
  title: string;
  subject: string;
  text: string;
  onFailure: "send_available" | "hold";
  mark: string;
  layout: string;
  color: string;
  opacity: number;
  size: number;
  pages: string;
  /** A request whose answer is not known: the same key and body, asked again, send once at most. */
  intent?: { key: string; body: string };
}

export const defaultMark = "{name}\n{email}";

export const blank = (): Draft => ({
  files: [], rows: [], columns: [], lists: [], mode: "attachment", password: "none", linkDays: 30, deadline: "", title: "", subject: "", text: "",
  onFailure: "send_available", mark: defaultMark, layout: "diagonal", color: "", opacity: 0, size: 0, pages: "",
});

export const hasWork = (d: Draft) => d.files.length > 0 || d.rows.length > 0 || d.text !== "";

const place = (production: string) => `filigree-draft-${production}`;

function kept(production: string): Draft {
  try {
    const raw = sessionStorage.getItem(place(production));
    return raw ? { ...blank(), ...(JSON.parse(raw) as Partial<Draft>) } : blank();
  } catch {
    return blank();
  }
}

export function keep(production: string, d: Draft | undefined) {
  try {
    if (d && (hasWork(d) || d.intent)) sessionStorage.setItem(place(production), JSON.stringify(d));
    else sessionStorage.removeItem(place(production));
  } catch {
    // The storage is full or forbidden: the draft lives as long as the page does, and leaving warns anyway.
  }
}

export type Change = (change: Partial<Draft> | ((d: Draft) => Partial<Draft>)) => void;

/** useDraft is the production's draft, kept as it changes; `drop` forgets it, when it has been sent. A change is made at once. */
export function useDraft(production: string): [Draft, Change, () => void] {
  const [draft, set] = useState(() => kept(production));
  const newest = useRef(draft);
  const sent = useRef(false);
  const timer = useRef<number>(undefined);
  const change = useCallback<Change>(
    (c) => {
      newest.current = { ...newest.current, ...(typeof c === "function" ? c(newest.current) : c) };
      set(newest.current);
      window.clearTimeout(timer.current);
      timer.current = window.setTimeout(() => keep(production, sent.current ? undefined : newest.current), 400);
    },
    [production],
  );
  useEffect(() => {
    const now = () => keep(production, sent.current ? undefined : newest.current);
    addEventListener("pagehide", now);
    return () => {
      removeEventListener("pagehide", now);
      window.clearTimeout(timer.current);
      now();
    };
  }, [production]);
  const drop = useCallback(() => {
    sent.current = true;
    keep(production, undefined);
  }, [production]);
  return [draft, change, drop];
}

/** Added is what came of adding people. */
export interface Added {
  added: number;
  /** Names or addresses of those who were there already. */
  merged: string[];
}

export type Entry = Parsed & { person?: string; lists?: string[] };

/** add puts people into the rows; whoever is there already by their address is merged, what was empty filled. */
export function add(d: Draft, reading: { people: Entry[]; columns: Reading["columns"] }): [Partial<Draft>, Added] {
  const rows = [...d.rows];
  const at = new Map<string, number>();
  rows.forEach((r, i) => r.email && at.set(key(r.email), i));
  let id = rows.reduce((most, r) => Math.max(most, r.id), 0);
  const said: Added = { added: 0, merged: [] };
  const unlike = new Set<string>();
  for (const p of reading.people) {
    const before = p.email ? at.get(key(p.email)) : undefined;
    if (before === undefined) {
      if (p.email) at.set(key(p.email), rows.length);
      rows.push({ ...p, id: ++id, own: !p.person });
      said.added++;
      continue;
    }
    const r = rows[before]!;
    const lists = [...new Set([...(r.lists ?? []), ...(p.lists ?? [])])];
    const better = r.guessed && !p.guessed && r.own;
    rows[before] = r.own
      ? { ...r, lists, name: better ? p.name : r.name, guessed: r.guessed && !better, fields: { ...p.fields, ...r.fields } }
      : { ...r, lists };
    // The server tells addresses of other case apart: a list in which they are written so would reach them twice.
    if (r.email !== p.email) for (const l of [...(r.lists ?? []), ...(p.lists ?? [])]) unlike.add(l);
    said.merged.push(r.name || r.email);
  }
  return [{ rows, lists: d.lists.map((l) => (unlike.has(l.id) ? { ...l, whole: false } : l)), columns: [...new Set([...d.columns, ...reading.columns])] }, said];
}

/** apart makes lists of rows no longer whole, since what goes to their people is no longer what they say. */
const apart = (d: Draft, rows: Row[]): Picked[] => {
  const touched = new Set(rows.flatMap((r) => r.lists ?? []));
  return d.lists.map((l) => (touched.has(l.id) ? { ...l, whole: false } : l));
};

/** edit changes a row; from then on what stands here counts. */
export function edit(d: Draft, id: number, change: Partial<Pick<Row, "name" | "email" | "fields">>): Partial<Draft> {
  const row = d.rows.find((r) => r.id === id);
  if (!row) return {};
  const next: Row = { ...row, ...change, own: true, person: undefined };
  if (change.name !== undefined) next.guessed = false;
  if (change.email !== undefined && change.email !== row.email) {
    next.sure = false;
    if (row.guessed && isAddress(change.email)) next.name = nameFrom(change.email);
  }
  return { rows: d.rows.map((r) => (r.id === id ? next : r)), lists: apart(d, [row]) };
}

export function remove(d: Draft, ids: Set<number>): Partial<Draft> {
  const gone = d.rows.filter((r) => ids.has(r.id));
  const rows = d.rows.filter((r) => !ids.has(r.id));
  const lists = apart(d, gone).filter((l) => rows.some((r) => r.lists?.includes(l.id)));
  return { rows, lists, columns: d.columns.filter((c) => rows.some((r) => r.fields[c])) };
}

/** Trouble is what is wrong with a row. */
export interface RowTrouble extends AddressTrouble {
  row: Row;
  of: "name" | "email";
}

/** What is known of a row's address, whoever else there is; rows are replaced, never changed, so that it is found out once. */
const facts = new WeakMap<Row, { key: string; domain: string }>();
function factsOf(r: Row) {
  let f = facts.get(r);
  if (!f) facts.set(r, (f = { key: key(r.email), domain: isAddress(r.email.trim()) ? domainOf(r.email.trim()) : "" }));
  return f;
}

/** troubles finds what is wrong with whom, by the row's id; hints are what the server said about addresses. */
export function troubles(rows: Row[], hints: Map<string, AddressTrouble> = new Map()): Map<number, RowTrouble> {
  const others = domains(rows.map((r) => factsOf(r).domain));
  const first = new Map<string, Row>();
  const out = new Map<number, RowTrouble>();
  for (const row of rows) {
    const f = factsOf(row);
    const wrong = (f.domain !== "" && !meant(f.domain, others) ? undefined : troubleWith(row.email, others)) ?? hints.get(row.email.trim());
    const twin = first.get(f.key);
    if (wrong?.kind === "bad") out.set(row.id, { ...wrong, row, of: "email" });
    else if (twin) out.set(row.id, { kind: "bad", says: `${twin.name || "Somebody"} has this address already.`, row, of: "email" });
    else if (!row.name.trim()) out.set(row.id, { kind: "bad", says: "The name is missing.", fix: undefined, row, of: "name" });
    else if (wrong && !row.sure) out.set(row.id, { ...wrong, row, of: "email" });
    if (row.email && !twin) first.set(f.key, row);
  }
  return out;
}

/** fieldsIn lists the fields that a mark's text names. */
export const fieldsIn = (mark: string) => [...mark.replaceAll("{{", "").matchAll(/\{([^{}]*)\}/g)].map((m) => m[1]!.trim().toLowerCase());

/** Fields that every mark may use, whoever the people are. */
export const standardFields = ["name", "email", "company", "role", "date", "time", "copy", "production", "title", "file"];

/** whom says whom a draft goes to. A list that is whole is named; everybody else, and everybody if the mark names a column that
 * somebody has not, stands in the request as on the page, people of the directory too: what was seen is what is sent. */
function whom(d: Draft): Pick<Schemas["CreateDistributionBody"], "recipients" | "lists"> {
  const named = fieldsIn(d.mark).filter((f) => !standardFields.includes(f));
  const full = d.rows.every((r) => r.own || named.every((f) => r.fields[f]));
  const lists = full && d.lists.length <= 20 ? d.lists.filter((l) => l.whole).map((l) => l.id) : [];
  const rest = d.rows.filter((r) => r.own || !r.lists?.some((l) => lists.includes(l)));
  return {
    lists: lists.length ? lists : undefined,
    recipients: rest.map((r) => ({
      name: r.name.trim(),
      email: r.email.trim(),
      // Of each column there is a value, if an empty one: a mark may name only what everybody has.
      fields: Object.fromEntries([...new Set([...d.columns, ...Object.keys(r.fields)])].map((c) => [c, r.fields[c] ?? ""])),
    })),
  };
}

/** titleOf is what it will be called, as the server says where nobody does. */
export function titleOf(d: Draft): string {
  const first = d.files[0]?.name?.replace(/\.(?=[^.]*[A-Za-z])[^. ]{1,5}$/, "") ?? "";
  const more = d.files.length - 1;
  return d.title.trim() || (more < 1 ? first : `${first} and ${more === 1 ? "one" : more} more`);
}

/** request is what the server is asked for. */
export function request(d: Draft): Schemas["CreateDistributionBody"] {
  const styled = d.layout !== "diagonal" || d.color || d.opacity || d.size || d.pages.trim();
  return {
    title: d.title.trim() || undefined,
    mode: d.mode,
    files: d.files.map((f) => ({ sha256: f.sha256, name: f.name })),
    ...whom(d),
    mark: d.mark.trim() ? d.mark : defaultMark,
    mark_style: styled ? { layout: d.layout, color: d.color || undefined, opacity: d.opacity || undefined, size: d.size || undefined, pages: d.pages.trim() || undefined } : undefined,
    password: d.password,
    message: d.subject.trim() || d.text.trim() ? { subject: d.subject.trim(), text: d.text } : undefined,
    policy: d.onFailure === "hold" ? { on_failure: "hold" } : undefined,
    link_lifetime: d.mode === "attachment" ? undefined : `${d.linkDays * 86400}s`,
    deadline: d.deadline ? new Date(d.deadline).toISOString() : undefined,
    hold_for: "10s",
  };
}
