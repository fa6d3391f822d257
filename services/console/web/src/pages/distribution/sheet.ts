import { api, data, type Schemas } from "../../api/client";
import { sentence } from "../../words";

export type Recipient = Schemas["Recipient"];
export type Item = Schemas["Item"];

/** What a copy can be; 0 is one that is not known yet. The numbers are those of Sheet.cell. */
export const itemStateNames = ["", "pending", "running", "done", "failed", "skipped", "cancelled"] as const;
const failed = 4;
const countNames = ["pending", "running", "done", "failed", "skipped", "cancelled"] as const;

/** least is how long, in milliseconds, at least lies between two looks at what changed. */
const least = 2000;
/** pageMost is the API's most entries of a page; the first is small, so that there is something to see soon. */
const pageMost = 1000;
const pageFirst = 100;
/** rolling is how many people beyond those in sight are looked at again with each look. */
const rolling = 500;

/** Where a Sheet reads from; tests give it something else than the API. */
export interface Source {
  people(from: number, most: number): Promise<Recipient[]>;
  items(from: number, most: number): Promise<Item[]>;
}

/** apiSource reads by the API. Its page tokens are positions in the lists' order, here and in the archive; held against ids. */
export function apiSource(production: string, distribution: string): Source {
  const path = { production, distribution };
  return {
    async people(from, most) {
      const page = await data(api.GET("/v1/productions/{production}/distributions/{distribution}/recipients", { params: { path, query: { page_size: most, page_token: from ? String(from) : "" } } }));
      return page.recipients ?? [];
    },
    async items(from, most) {
      const page = await data(api.GET("/v1/productions/{production}/distributions/{distribution}/items", { params: { path, query: { page_size: most, page_token: from ? String(from) : "" } } }));
      return page.items ?? [];
    },
  };
}

/**
 * Sheet is what is known of a distribution's people and copies: people as the API tells them, of each copy one byte, and why
 * where there is a why. It stays as large as it is, however long it is kept up to date.
 *
 * A person's counts say what all their copies are where these are alike, which is nearly always; only where they differ, or
 * something failed, the copies themselves are asked for.
 */
export class Sheet {
  readonly people: (Recipient | undefined)[];
  /** How many people are known, from the first on without a gap. */
  known = 0;
  error: Error | undefined;
  version = 0;
  private readonly cells: Uint8Array;
  private readonly notes = new Map<number, string>();
  /** People who changed since their copies were read: of two copies that changed places their counts tell nothing. */
  private readonly stale = new Set<number>();
  private readonly noteTexts = new Map<string, string>();
  private readonly listeners = new Set<() => void>();
  private seen: [number, number] = [0, 0];
  private next = 0; // where the next look beyond what is in sight begins
  private asked = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running = false;
  private closed = false;

  constructor(
    private readonly source: Source,
    readonly files: number,
    readonly total: number,
  ) {
    this.people = new Array<Recipient | undefined>(total);
    this.cells = new Uint8Array(files * total);
  }

  subscribe = (f: () => void) => {
    this.listeners.add(f);
    return () => void this.listeners.delete(f);
  };

  /** cell is the state of a copy, by file and person counted from 0. */
  cell(file: number, person: number): (typeof itemStateNames)[number] {
    return itemStateNames[this.cells[file * this.total + person]!]!;
  }

  /** row is all of a person's copies as one word, the same as long as nothing changed. */
  row(person: number): string {
    let s = "";
    for (let f = 0; f < this.files; f++) s += this.cells[f * this.total + person]!;
    return s;
  }

  /** note is why a copy is as it is, where there is a why. */
  note(file: number, person: number): string | undefined {
    return this.notes.get(file * this.total + person);
  }

  /** load reads everybody, the first page first, and then what their counts do not tell. */
  async load() {
    await this.alone(async () => {
      for (let from = 0; from < this.total && !this.closed; from = this.known) {
        const before = this.known;
        await this.readPeople(from, from === 0 ? pageFirst : pageMost);
        if (this.known === before) break; // there are no more: some are not laid out yet
      }
      await this.fill(0, this.known);
    });
  }

  /** see says which people are in sight, from one up to another; what is missing of theirs is read. */
  see(from: number, to: number) {
    this.seen = [from, Math.min(to, this.total)];
    if (this.needs(from, to)) this.soon(150);
  }

  /** changed says that something changed; what is in sight is looked at again, at most every two seconds. */
  changed() {
    this.asked = true;
    this.soon(least);
  }

  /** reload reads everybody again, as when the distribution has ended. */
  async reload() {
    await this.alone(async () => {
      for (let from = 0; from < this.total && !this.closed; from += pageMost) await this.readPeople(from, pageMost);
      await this.fill(0, this.known);
    });
  }

  /** put takes in one person as an answer told them. */
  put(r: Recipient) {
    const n = personNumber(r.id);
    if (n === undefined || n >= this.total) return;
    this.take(n, r);
    this.tell();
    this.changed();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** open undoes close: React mounts twice while developing. */
  open() {
    this.closed = false;
  }

  private soon(ms: number) {
    if (this.closed) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.look();
    }, ms);
  }

  private async look() {
    if (document.hidden && !this.error) return; // whoever comes back to the page asks again
    if (this.running) return this.soon(least);
    const [from, to] = this.seen;
    const again = this.asked;
    this.asked = false;
    await this.alone(async () => {
      if (again) {
        // Some were not laid out yet when everybody was read.
        if (this.known < this.total) await this.readPeople(this.known, pageMost);
        await this.readPeople(from, Math.max(1, to - from));
        if (to - from < this.known) {
          if (this.next >= this.known) this.next = 0;
          await this.readPeople(this.next, Math.min(rolling, this.known - this.next));
          this.next += rolling;
        }
      }
      await this.fill(from, to);
    });
    if (this.asked || this.error) this.soon(this.error ? 2 * least : least);
  }

  /** alone runs one reading at a time; what goes wrong stays in sight until one goes well. */
  private async alone(f: () => Promise<void>) {
    while (this.running) await new Promise((done) => setTimeout(done, 50));
    if (this.closed) return;
    this.running = true;
    try {
      await f();
      this.error = undefined;
    } catch (e) {
      this.error = e as Error;
      this.asked = true;
    } finally {
      this.running = false;
      this.tell();
    }
  }

  private async readPeople(from: number, most: number) {
    const got = await this.source.people(from, Math.min(most, pageMost));
    if (this.closed) return;
    for (const [i, r] of got.entries()) {
      if (personNumber(r.id) !== from + i) throw new Error(`The list of people does not begin where it was asked to: ${r.id} instead of person ${from + i + 1}.`);
      this.take(from + i, r);
    }
    if (from <= this.known) this.known = Math.max(this.known, from + got.length);
    if (got.length > 0) this.tell();
  }

  private take(n: number, r: Recipient) {
    const before = this.people[n];
    // The same as before keeps its identity, so that its row is not drawn again.
    if (before && JSON.stringify(before) === JSON.stringify(r)) return;
    this.people[n] = r;
    const alike = countNames.findIndex((name) => (r.items?.[name] ?? 0) === this.files);
    if (alike < 0) {
      if (before) this.stale.add(n);
      return;
    }
    this.stale.delete(n);
    for (let f = 0; f < this.files; f++) {
      const at = f * this.total + n;
      // What failed again may have failed otherwise.
      if (this.cells[at] !== alike + 1 || alike + 1 === failed) this.notes.delete(at);
      this.cells[at] = alike + 1;
    }
  }

  /** differs tells whether a person's copies must be asked for: their counts say something else, or something failed. */
  private differs(n: number): boolean {
    const counts = this.people[n]?.items;
    if (!counts) return false;
    if (this.stale.has(n)) return true;
    const here = new Array<number>(itemStateNames.length).fill(0);
    for (let f = 0; f < this.files; f++) {
      const at = f * this.total + n;
      const state = this.cells[at]!;
      if (state === failed && !this.notes.has(at)) return true;
      here[state]!++;
    }
    return here[0]! > 0 || countNames.some((name, i) => here[i + 1] !== (counts[name] ?? 0));
  }

  private needs(from: number, to: number): boolean {
    for (let n = from; n < Math.min(to, this.known); n++) if (this.differs(n)) return true;
    return false;
  }

  /** fill reads the copies of those of whom they must be asked for. */
  private async fill(from: number, to: number) {
    let begin = -1;
    let last = -1;
    const spans: [number, number][] = [];
    for (let n = from; n < Math.min(to, this.known); n++) {
      if (!this.differs(n)) continue;
      if (begin >= 0 && n - last > 20) {
        spans.push([begin, last + 1]);
        begin = -1;
      }
      if (begin < 0) begin = n;
      last = n;
    }
    if (begin >= 0) spans.push([begin, last + 1]);
    for (const [a, b] of spans) {
      for (let f = 0; f < this.files; f++)
        for (let n = a; n < b; n += pageMost) {
          if (this.closed) return;
          await this.readItems(f, n, Math.min(pageMost, b - n));
        }
      for (let n = a; n < b; n++) this.stale.delete(n);
    }
  }

  private async readItems(file: number, person: number, most: number) {
    const from = file * this.total + person;
    const got = await this.source.items(from, most);
    for (const [i, item] of got.entries()) {
      const at = from + i;
      const [f, n] = itemNumbers(item.id);
      if (f * this.total + n !== at) throw new Error(`The list of copies does not begin where it was asked to: ${item.id}.`);
      const state = Math.max(0, itemStateNames.indexOf(item.state as "pending"));
      this.cells[at] = state;
      const note = itemNote(item);
      if (note) this.notes.set(at, this.intern(note));
      else this.notes.delete(at);
    }
    this.tell();
  }

  /** intern keeps a sentence once, however many copies it is about. */
  private intern(text: string): string {
    const kept = this.noteTexts.get(text);
    if (kept !== undefined) return kept;
    if (this.noteTexts.size >= 1000) this.noteTexts.clear();
    this.noteTexts.set(text, text);
    return text;
  }

  private tell() {
    this.version++;
    for (const f of this.listeners) f();
  }
}

/** itemNote says of a copy what its state alone does not: only of what stays as it is, since it is not asked for again and again. */
function itemNote(item: Item): string {
  if (item.state === "failed" || item.state === "cancelled") return item.error?.message ? sentence(item.error.message) : "It is not known why.";
  return "";
}

/** personNumber is the number of a recipient "<distribution>.r7", counted from 0. */
export function personNumber(id: string | undefined): number | undefined {
  const n = Number(/\.r(\d+)$/.exec(id ?? "")?.[1] ?? Number.NaN);
  return Number.isInteger(n) && n > 0 ? n - 1 : undefined;
}

/** itemNumbers are the numbers of file and person of an item "<distribution>.2.7", counted from 0. */
function itemNumbers(id: string | undefined): [number, number] {
  const m = /\.(\d+)\.(\d+)$/.exec(id ?? "");
  return [Number(m?.[1] ?? 0) - 1, Number(m?.[2] ?? 0) - 1];
}
