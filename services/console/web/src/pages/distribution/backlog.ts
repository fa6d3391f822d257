import { api, data, type Schemas } from "../../api/client";

export type Event = Schemas["Event"];

/** mostKept is how many events are kept in memory, the newest. */
export const mostKept = 60_000;
const pageMost = 1000;
/** windowMost is how many events one look back may read; of a stretch of time with more, a shorter one is read instead. */
const windowMost = 2000;
/** wanted is how many events a stretch should have. */
const wanted = 500;

/** reads pages of events after a place, oldest first, as the API lists them. */
export type ReadEvents = (after: string, most: number) => Promise<{ events: Event[]; next: string }>;

export function apiEvents(production: string, distribution: string): ReadEvents {
  return async (after, most) => {
    const page = await data(api.GET("/v1/productions/{production}/distributions/{distribution}/events", { params: { path: { production, distribution }, query: { page_size: most, page_token: after } } }));
    return { events: page.events ?? [], next: page.next_page_token ?? "" };
  };
}

const timeOf = (id: string) => Number.parseInt(id, 10);

/** slim drops what is empty: most fields of most events are. */
function slim(e: Event): Event {
  const out: Record<string, unknown> = {};
  for (const [k, v] of Object.entries(e)) if (v && v !== "0" && !(Array.isArray(v) && v.length === 0)) out[k] = v;
  return out as Event;
}

/**
 * Backlog is a distribution's events, newest first, read backwards as far as somebody looks. The API lists them oldest first
 * after a place, and an event's id, which is such a place, begins with its time in milliseconds: so a stretch of time can be
 * read from its beginning, and stretches one before the other.
 */
export class Backlog {
  /** Newest first. */
  events: Event[] = [];
  /** There is nothing earlier. */
  complete = false;
  /** Earlier ones are there, and more than are kept. */
  full = false;
  /** Up to when has been looked back. */
  since: number;
  version = 0;
  error: Error | undefined;
  busy = false;
  /** News were asked for while something else was read: they are read after it, or nobody would ask again. */
  private missed = false;
  private wide: number;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly read: ReadEvents,
    private readonly begun: number,
    until: number,
  ) {
    // Clocks differ a little, and the end may be recorded after its time.
    this.since = until + 60_000;
    this.wide = 75_000;
  }

  subscribe = (f: () => void) => {
    this.listeners.add(f);
    return () => void this.listeners.delete(f);
  };

  /** older looks back until something is found, or there is nothing more. */
  async older() {
    if (this.complete || this.full) return;
    await this.alone(async () => {
      for (;;) {
        const from = this.since - this.wide;
        const first = from <= this.begun - 1000;
        const got = await this.stretch(first ? "" : `${Math.floor(from)}-0`, this.events.at(-1)?.id);
        if (typeof got === "number") {
          this.wide = Math.max(1, Math.min(this.wide / 2, got * wanted));
          continue;
        }
        const events = got;
        this.since = from;
        this.complete = first;
        // The next stretch is such that it has a few hundred.
        this.wide = Math.min(Math.max(1, (this.wide * wanted) / Math.max(events.length, 1)), this.wide * 8);
        this.events = this.events.concat(events.reverse().map(slim));
        if (this.events.length >= mostKept) {
          this.events.length = mostKept;
          this.full = !this.complete || this.events.length > mostKept;
        }
        if (events.length > 0 || this.complete) return;
      }
    });
  }

  /** newer reads what came since. */
  async newer() {
    const newest = this.events[0]?.id;
    if (!newest && !this.complete) return this.older();
    if (this.busy) {
      this.missed = true;
      return;
    }
    await this.alone(async () => {
      let after = newest ?? "";
      for (;;) {
        const page = await this.read(after, pageMost);
        if (page.events.length > 0) {
          this.events = page.events.map(slim).reverse().concat(this.events);
          if (this.events.length > mostKept) {
            this.events.length = mostKept;
            this.full = true;
            this.complete = false;
          }
          this.tell();
        }
        if (!page.next || page.events.length === 0) return;
        after = page.next;
      }
    });
  }

  /** stretch reads what is after a place and before an event; of too much for one look only how many milliseconds an event takes. */
  private async stretch(after: string, before: string | undefined): Promise<Event[] | number> {
    const got: Event[] = [];
    for (let token = after; ; ) {
      const page = await this.read(token, pageMost);
      for (const e of page.events) {
        if (before && !earlier(e.id!, before)) return got;
        got.push(e);
      }
      if (!page.next || page.events.length === 0) return got;
      if (got.length >= windowMost && this.wide > 2) return (timeOf(got.at(-1)!.id!) - timeOf(got[0]!.id!)) / got.length;
      token = page.next;
    }
  }

  private async alone(f: () => Promise<void>) {
    if (this.busy) return;
    this.busy = true;
    this.tell();
    try {
      await f();
      this.error = undefined;
    } catch (e) {
      this.error = e as Error;
    } finally {
      this.busy = false;
      this.tell();
    }
    if (this.missed && !this.error) {
      this.missed = false;
      await this.newer();
    }
  }

  private tell() {
    this.version++;
    for (const f of this.listeners) f();
  }
}

/** earlier tells whether one event's id comes before another's: by time, then by number. */
function earlier(a: string, b: string): boolean {
  const d = timeOf(a) - timeOf(b);
  return d !== 0 ? d < 0 : Number(a.split("-")[1]) < Number(b.split("-")[1]);
}
