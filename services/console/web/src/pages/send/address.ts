// What is wrong with a mail address, and what was probably meant. Pure.

/** Trouble with an address. One that is `bad` cannot be sent to; an `odd` one can, and looks mistyped. */
export interface AddressTrouble {
  kind: "bad" | "odd";
  says: string;
  /** What was probably meant, a good address; absent where there is no telling. */
  fix?: string;
}

const label = "[\\p{L}\\p{N}](?:[\\p{L}\\p{N}-]{0,61}[\\p{L}\\p{N}])?";
const address = new RegExp(`^[\\p{L}\\p{N}!#$%&'*+/=?^_\`{|}~-]+(?:\\.[\\p{L}\\p{N}!#$%&'*+/=?^_\`{|}~-]+)*@${label}(?:\\.${label})+$`, "u");

/** isAddress tells whether s is a bare mail address that the server would take. */
export const isAddress = (s: string) => s.length <= 320 && address.test(s);

/** key is the form in which addresses are compared here: nobody means two people by Ann@x.org and ann@x.org. */
export const key = (email: string) => email.trim().toLowerCase();

/** domainOf is what stands after the @. */
export const domainOf = (email: string) => email.slice(email.lastIndexOf("@") + 1).toLowerCase();

/** Domains of mail that everybody uses, by which a mistyped one is recognised. */
const common = ["gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "hotmail.co.uk", "live.com", "yahoo.com", "yahoo.co.uk", "icloud.com", "me.com", "mac.com", "aol.com", "proton.me", "protonmail.com", "gmx.de", "gmx.net", "web.de", "btinternet.com", "msn.com"];
const endings: Record<string, string> = { con: "com", cmo: "com", ocm: "com", comm: "com", cm: "com", om: "com", vom: "com", xom: "com", ogr: "org", orgg: "org", nett: "net", ner: "net" };

/** distance counts the letters to insert, leave out, replace or swap between a and b, up to 2; 3 is more than that. */
export function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      let d = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d = Math.min(d, before[j - 2]! + 1);
      next.push(d);
    }
    before = row;
    row = next;
  }
  return Math.min(row[b.length]!, 3);
}

/** Domains says how many people of a list have which domain; what was found out about each is kept with it. */
export interface Domains {
  count: Map<string, number>;
  /** Those that at least three people have, most first. */
  many: [string, number][];
  known: Map<string, string | undefined>;
}

/** domains counts them; an empty one is that of no good address. */
export function domains(all: string[]): Domains {
  const count = new Map<string, number>();
  for (const d of all) if (d) count.set(d, (count.get(d) ?? 0) + 1);
  return { count, many: [...count].filter(([, n]) => n >= 3).sort((a, b) => b[1] - a[1]).slice(0, 50), known: new Map() };
}

/** meant is the domain that is probably meant by d; undefined where d looks as it should. */
export function meant(d: string, others: Domains): string | undefined {
  if (!others.known.has(d)) others.known.set(d, likelier(d, others));
  return others.known.get(d);
}

function likelier(d: string, others: Domains): string | undefined {
  if (common.includes(d)) return undefined;
  const own = others.count.get(d) ?? 0;
  // One that many of the same list have is likelier than one that everybody has.
  for (const [other, n] of others.many) if (n >= 3 * own && other !== d && distance(d, other) <= (other.length > 7 ? 2 : 1)) return other;
  if (!everyday.has(d)) everyday.set(d, ofEverybody(d));
  return everyday.get(d);
}

/** What is found out about a domain whatever others there are. */
const everyday = new Map<string, string | undefined>();

function ofEverybody(d: string): string | undefined {
  // Two that are far from short: "me.com" is near to much that is right.
  for (const other of common) if (other.length > 6 && distance(d, other) === 1) return other;
  const dot = d.lastIndexOf(".");
  const ending = endings[d.slice(dot + 1)];
  // .cm and .om are countries; they are doubted only where the rest is a common name.
  if (ending && (d.slice(dot + 1).length > 2 || common.includes(`${d.slice(0, dot)}.${ending}`))) return `${d.slice(0, dot)}.${ending}`;
  return undefined;
}

/** repaired is s as a good address, if it takes but obvious changes; else undefined. */
function repaired(s: string, others: Domains): string | undefined {
  let t = s
    .normalize("NFKC")
    .replace(/[\u200b-\u200f\u2060\ufeff]/g, "")
    .replace(/^\s*mailto:/i, "")
    .replace(/\?.*$/, "")
    .replace(/\s*[([{]\s*at\s*[)\]}]\s*|\s+at\s+/i, "@")
    .replace(/\s*[([{]\s*dot\s*[)\]}]\s*|\s+dot\s+/gi, ".")
    .replace(/\s+/g, "")
    .replace(/^[<("'`,;:.]+|[>)"'`,;:.]+$/g, "")
    .replace(/@{2,}/g, "@");
  const at = t.lastIndexOf("@");
  if (at < 0) {
    // anna.gmail.com, annagmail.com: the @ is missing before a domain that is known.
    const known = [...others.many.map(([d]) => d), ...common].filter((d) => t.toLowerCase().endsWith(d) && t.length > d.length).sort((a, b) => b.length - a.length)[0];
    if (!known) return undefined;
    t = `${t.slice(0, -known.length).replace(/[.#"']$/, "")}@${known}`;
  } else {
    if (t.slice(0, at).includes("@")) return undefined;
    let domain = t.slice(at + 1).replace(/[,;:]+/g, ".").replace(/\.{2,}/g, ".").replace(/^[.-]+|[.-]+$/g, "").replace(/_/g, "-");
    if (!domain.includes(".")) {
      // anna@gmailcom, anna@gmail: the dot, or the ending, is missing.
      domain = [...others.many.map(([d]) => d), ...common].find((d) => d.replace(/\./g, "") === domain.toLowerCase()) ?? [...others.many.map(([d]) => d), ...common].find((d) => d.split(".")[0] === domain.toLowerCase()) ?? domain;
    }
    domain = meant(domain.toLowerCase(), others) ?? domain;
    t = `${t.slice(0, at).replace(/[,;:]+/g, ".").replace(/\.{2,}/g, ".").replace(/^\.+|\.+$/g, "")}@${domain}`;
  }
  return isAddress(t) ? t : undefined;
}

/** troubleWith says what is wrong with an address, among the domains of the others of its list. */
export function troubleWith(email: string, others: Domains): AddressTrouble | undefined {
  const s = email.trim();
  if (s === "") return { kind: "bad", says: "The address is missing." };
  if (!isAddress(s)) {
    const fix = repaired(s, others);
    const at = s.lastIndexOf("@");
    const says =
      at < 0 ? "There is no @ in the address."
      : s.split("@").length > 2 ? "There is more than one @ in the address."
      : /\s/.test(s) ? "There is a space in the address."
      : at === 0 ? "Nothing stands before the @."
      : at === s.length - 1 ? "Nothing stands after the @."
      : /[,;:]/.test(s) ? "There is a comma or the like in the address."
      : !s.slice(at).includes(".") ? `“${s.slice(at + 1)}” is no complete domain: its ending is missing.`
      : s.includes("..") ? "There are two dots in a row."
      : s.length > 320 ? "The address is too long."
      : "This is not a mail address.";
    return { kind: "bad", says, fix };
  }
  const domain = meant(domainOf(s), others);
  if (!domain) return undefined;
  return { kind: "odd", says: `“${domainOf(s)}” looks mistyped.`, fix: `${s.slice(0, s.lastIndexOf("@") + 1)}${domain}` };
}

/** nameFrom makes a name of an address, for people of whom there is no other: maren.voss@… is Maren Voss. */
export function nameFrom(email: string): string {
  const local = email.split("@")[0]!.replace(/\+.*$/, "").replace(/\d+$/, "");
  const words = local.split(/[._-]+/).filter(Boolean);
  return words.map((w) => w[0]!.toUpperCase() + w.slice(1)).join(" ") || email;
}
