// Reads people from whatever somebody pastes: lines, "Name <a@b>" lists of mail clients, cells of a spreadsheet, CSV. Pure.
import { isAddress, nameFrom } from "./address";

export interface Parsed {
  name: string;
  email: string;
  /** More fields for the mark, by their names. */
  fields: Record<string, string>;
  /** There was no name; this one is made of the address. */
  guessed: boolean;
}

export interface Reading {
  people: Parsed[];
  /** Names of the further columns, in their order. */
  columns: string[];
}

/** fieldName makes a field's name of a column's title, as the server does: "Company name" is company_name. */
export function fieldName(title: string): string {
  const s = title.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 32).replace(/_+$/, "");
  return /^[a-z]/.test(s) ? s : "";
}

const titles: Record<string, "email" | "name" | "first" | "last"> = {
  email: "email", e_mail: "email", mail: "email", email_address: "email", e_mail_address: "email", mail_address: "email", e_mail_adresse: "email", emailadresse: "email", correo: "email", courriel: "email",
  name: "name", full_name: "name", fullname: "name", display_name: "name", recipient: "name", contact: "name", person: "name", nom_complet: "name",
  first_name: "first", firstname: "first", given_name: "first", forename: "first", vorname: "first", prenom: "first", first: "first",
  last_name: "last", lastname: "last", surname: "last", family_name: "last", nachname: "last", last: "last",
};

const meaning = (title: string) => titles[fieldName(title.normalize("NFD").replace(/\p{M}/gu, ""))];

/** cells splits CSV into rows of trimmed cells; blank rows are left out. */
export function cells(text: string, separator: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  const endCell = () => (row.push(cell.trim()), (cell = ""));
  const endRow = () => (endCell(), row.some(Boolean) && rows.push(row), (row = []));
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') (cell += '"'), i++;
      else quoted = false;
    } else if (c === '"' && cell.trim() === "") (quoted = true), (cell = "");
    else if (c === separator) endCell();
    else if (c === "\n") endRow();
    else if (c !== "\r") cell += c;
  }
  endRow();
  return rows;
}

/** table reads rows of cells; the first may be a header. Undefined: these are no cells with an address in them. */
function table(rows: string[][]): Reading | undefined {
  const head = rows[0];
  if (!head) return undefined;
  const titled = head.some((c) => meaning(c) === "email") && !head.some(isAddress);
  const body = titled ? rows.slice(1) : rows;
  const width = Math.max(...rows.map((r) => r.length));
  let kinds: (string | undefined)[];
  let names: string[];
  if (titled) {
    kinds = Array.from({ length: width }, (_, i) => meaning(head[i] ?? ""));
    names = Array.from({ length: width }, (_, i) => fieldName(head[i] ?? "") || `column_${i + 1}`);
  } else {
    // Without a header the column with most addresses is the address, the first other one with text the name.
    const score = (test: (c: string) => boolean) => Array.from({ length: width }, (_, i) => body.filter((r) => test(r[i] ?? "")).length);
    const at = score((c) => c.includes("@"));
    const email = at.indexOf(Math.max(...at));
    if (!at[email]) return undefined;
    const filled = score(Boolean);
    const name = filled.findIndex((n, i) => i !== email && n > 0);
    kinds = Array.from({ length: width }, (_, i) => (i === email ? "email" : i === name ? "name" : undefined));
    names = Array.from({ length: width }, (_, i) => `column_${i + 1}`);
  }
  const used = kinds.map((k, i) => k === undefined && body.some((r) => r[i]));
  const columns = [...new Set(names.filter((_, i) => used[i]))];
  const people = body.map((r) => {
    const of = (kind: string) => kinds.map((k, i) => (k === kind ? r[i] ?? "" : "")).find(Boolean) ?? "";
    const fields: Record<string, string> = {};
    names.forEach((n, i) => used[i] && r[i] && (fields[n] = r[i]!.replace(/\s+/g, " ")));
    const inside = /^(.*)<([^<>]*)>$/.exec(of("email"));
    const name = of("name") || [of("first"), of("last")].filter(Boolean).join(" ") || unquoted(inside?.[1] ?? "");
    return person(name, inside?.[2] ?? of("email"), fields);
  });
  return { people: people.filter((p) => p.email || p.name), columns };
}

function person(name: string, email: string, fields: Record<string, string> = {}): Parsed {
  email = email.trim().replace(/^mailto:/i, "");
  name = name.replace(/\s+/g, " ").trim();
  const guessed = name === "" || name.toLowerCase() === email.toLowerCase();
  return { name: guessed ? (email ? nameFrom(email) : "") : name, email, fields, guessed };
}

const unquoted = (s: string) => s.trim().replace(/^["'“”‘’]+|["'“”‘’]+$/g, "").replace(/\\"/g, '"').trim();

/** turned makes "Voss, Maren", as directories of companies write names, Maren Voss. */
const turned = (s: string) => (/^[^,]+,[^,]+$/.test(s) ? s.split(",").reverse().map((p) => p.trim()).join(" ") : s);

/** one reads one entry: Name <a@b>, a@b (Name), Name a@b, a@b. */
function one(entry: string): Parsed {
  const s = entry.trim().replace(/^[•*\-–·]\s+|^\d+[.)]\s+/, "");
  let m = /^(.*?)<\s*([^<>]*?)\s*>?\s*$/.exec(s);
  if (m) return person(turned(unquoted(m[1]!)), m[2]!);
  m = /^(\S*@\S*)\s*\(([^()]*)\)$/.exec(s);
  if (m) return person(m[2]!, m[1]!);
  const words = s.split(/\s+/);
  const at = words.findIndex((w) => w.includes("@"));
  if (at < 0) return person("", s);
  // "anna @ x.org": what stands around a lone @ belongs to it.
  if (words[at] === "@" || words[at]!.startsWith("@") || words[at]!.endsWith("@")) return person("", s);
  return person(unquoted(words.filter((_, i) => i !== at).join(" ").replace(/[,:–-]+$/, "")), unquoted(words[at]!.replace(/[,:]$/, "")));
}

/** entries splits at separators that stand neither in quotes nor in angle brackets. */
function entries(text: string, separators: string): string[] {
  const out = [""];
  let quoted = false;
  let angled = false;
  for (const c of text) {
    if (c === '"') quoted = !quoted;
    if (c === "<" && !quoted) angled = true;
    if (c === ">") angled = false;
    if (c === "\n") quoted = angled = false;
    if ((c === "\n" || separators.includes(c)) && !quoted && !angled) out.push("");
    else out[out.length - 1] += c;
  }
  return out.map((s) => s.trim()).filter(Boolean);
}

/** read reads people from text, as far as anybody could. Who has no good address is among them: the page shows and mends it. */
export function read(text: string): Reading {
  text = text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n").replace(/[\u200b\u2060\u00a0]/g, " ");
  const lines = text.split("\n").filter((l) => l.trim());
  if (lines.length === 0) return { people: [], columns: [] };
  if (lines.some((l) => l.includes("\t"))) {
    const got = table(cells(text, "\t"));
    if (got) return got;
  }
  const first = lines[0]!;
  for (const separator of [";", ","]) {
    const head = cells(first, separator)[0] ?? [];
    if (head.length > 1 && head.some((c) => meaning(c) === "email") && !first.includes("@")) return table(cells(text, separator))!;
  }
  if (meaning(first) === "email") return table(cells(text, ","))!;
  // Cells without a header: each line has one address, alone between separators, and no angle brackets.
  for (const separator of [";", ","]) {
    const rows = cells(text, separator);
    const single = (r: string[]) => r.length > 1 && r.filter((c) => c.includes("@")).length === 1 && r.every((c) => !c.includes("<") && !(c.includes("@") && /\s/.test(c)));
    if (!text.includes("<") && rows.length > 0 && rows.every(single)) return table(rows)!;
  }
  const semicolons = entries(text, ";");
  if (semicolons.length > entries(text, "").length) return { people: semicolons.flatMap((e) => splitCommas(e)).map(one), columns: [] };
  return { people: entries(text, "").flatMap(splitCommas).map(one), columns: [] };
}

/** splitCommas splits a line at commas, except where one belongs to a name (Voss, Maren <m@x.org>) or to a mistyped address. */
function splitCommas(line: string): string[] {
  const ats = line.replace(/"[^"]*"/g, "").split("@").length - 1;
  if (ats <= 1) {
    const parts = entries(line, ",");
    // "Maren Voss, m@x.org": one cell is the address, the others are the name.
    if (parts.length === 2 && isAddress(parts[1]!)) return [`${parts[0]} <${parts[1]}>`];
    if (parts.length === 2 && isAddress(parts[0]!)) return [`${parts[1]} <${parts[0]}>`];
    return [line.replace(/,\s*$/, "")];
  }
  const out: string[] = [];
  let held = "";
  for (const part of entries(line, ",")) {
    if (part.includes("@")) {
      out.push(held ? `${held}, ${part}` : part);
      held = "";
    } else held = held ? `${held}, ${part}` : part;
  }
  if (held) out.push(held);
  return out;
}

/** textOf reads a dropped list: UTF-8, else UTF-16 by its mark, else as old spreadsheets write it. */
export async function textOf(file: Blob): Promise<string> {
  const raw = new Uint8Array(await file.arrayBuffer());
  if (raw[0] === 0xff && raw[1] === 0xfe) return new TextDecoder("utf-16le").decode(raw);
  if (raw[0] === 0xfe && raw[1] === 0xff) return new TextDecoder("utf-16be").decode(raw);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(raw);
  } catch {
    return new TextDecoder("windows-1252").decode(raw);
  }
}
