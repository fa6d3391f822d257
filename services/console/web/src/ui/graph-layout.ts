// Where the boxes of a graph stand and how its arrows run. Pure: the same graph is always drawn the same.

export interface Placed {
  id: string;
  /** Its layer, from 0, and where it stands across the layers: centre, in units of one lane. */
  layer: number;
  lane: number;
}

export interface Routed {
  from: string;
  to: string;
  /** Through which lanes it goes, layer by layer, its ends included. */
  lanes: number[];
}

export interface Layout {
  nodes: Placed[];
  edges: Routed[];
  layers: number;
  /** How many lanes the widest layer needs. */
  lanes: number;
}

/** A lane that only an arrow runs through is narrower than one with a box. */
const thin = 0.4;

interface Slot {
  id: string;
  layer: number;
  size: number;
  lane: number;
  before: Slot[];
  after: Slot[];
}

/**
 * layOut stands each node one layer after the last of those it comes after, orders the layers so that few arrows cross (by
 * the middle of their neighbours, forth and back), and lets arrows over several layers go around what stands between.
 * An arrow that would close a circle is left out of the order and drawn back.
 */
export function layOut(ids: string[], arrows: [string, string][]): Layout {
  const known = new Set(ids);
  const edges = arrows.filter(([a, b]) => a !== b && known.has(a) && known.has(b));
  const layer = layersOf(ids, edges);
  const slots = new Map<string, Slot>();
  const rows: Slot[][] = [];
  const put = (id: string, at: number, size: number) => {
    const s: Slot = { id, layer: at, size, lane: 0, before: [], after: [] };
    (rows[at] ??= []).push(s);
    return s;
  };
  for (const id of ids) slots.set(id, put(id, layer.get(id)!, 1));
  const chains = edges.map(([a, b]) => {
    const back = layer.get(a)! > layer.get(b)!;
    const [from, to] = back ? [b, a] : [a, b];
    const chain: Slot[] = [slots.get(from)!];
    for (let l = layer.get(from)! + 1; l < layer.get(to)!; l++) chain.push(put(`${from}>${to}@${l}`, l, thin));
    chain.push(slots.get(to)!);
    chain.forEach((s, i) => {
      const last = chain[i - 1];
      if (!last) return;
      s.before.push(last);
      last.after.push(s);
    });
    return { from: a, to: b, chain: back ? chain.reverse() : chain };
  });
  order(rows);
  place(rows);
  const all = rows.flat();
  const low = all.length ? Math.min(...all.map((s) => s.lane - s.size / 2)) : 0;
  for (const s of all) s.lane -= low;
  return {
    nodes: ids.map((id) => ({ id, layer: slots.get(id)!.layer, lane: slots.get(id)!.lane })),
    edges: chains.map((c) => ({ from: c.from, to: c.to, lanes: c.chain.map((s) => s.lane) })),
    layers: rows.length,
    lanes: Math.max(...all.map((s) => s.lane + s.size / 2), 0),
  };
}

function layersOf(ids: string[], edges: [string, string][]): Map<string, number> {
  const after = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const [a, b] of edges) after.get(a)!.push(b);
  // Depth first from each: what is met while it is still open closes a circle.
  const done = new Map<string, number>();
  const open = new Set<string>();
  const depth = (id: string): number => {
    const had = done.get(id);
    if (had !== undefined) return had;
    open.add(id);
    let d = 0;
    for (const next of after.get(id)!) if (!open.has(next)) d = Math.max(d, depth(next) + 1);
    open.delete(id);
    done.set(id, d);
    return d;
  };
  const longest = Math.max(0, ...ids.map(depth));
  // What others wait for stands as early as it can.
  const layer = new Map<string, number>();
  const sorted = [...ids].sort((a, b) => done.get(b)! - done.get(a)!);
  for (const id of sorted) layer.set(id, 0);
  for (const id of sorted)
    for (const next of after.get(id)!) if (done.get(next)! < done.get(id)!) layer.set(next, Math.max(layer.get(next)!, layer.get(id)! + 1));
  return longest === 0 ? new Map(ids.map((id) => [id, 0])) : layer;
}

const middle = (of: Slot[], rank: Map<Slot, number>, otherwise: number) => (of.length ? of.reduce((sum, s) => sum + rank.get(s)!, 0) / of.length : otherwise);

function order(rows: Slot[][]) {
  const rank = new Map<Slot, number>();
  const note = (row: Slot[]) => row.forEach((s, i) => rank.set(s, i));
  rows.forEach(note);
  let best = rows.map((r) => [...r]);
  let fewest = crossings(rows, rank);
  for (let round = 0; round < 8 && fewest > 0; round++) {
    const forth = round % 2 === 0;
    for (const row of forth ? rows : [...rows].reverse()) {
      const key = new Map(row.map((s, i) => [s, middle(forth ? s.before : s.after, rank, i)]));
      row.sort((a, b) => key.get(a)! - key.get(b)!);
      note(row);
    }
    const now = crossings(rows, rank);
    if (now < fewest) {
      fewest = now;
      best = rows.map((r) => [...r]);
    }
  }
  best.forEach((row, i) => (rows[i] = row));
}

function crossings(rows: Slot[][], rank: Map<Slot, number>): number {
  let n = 0;
  for (const row of rows) {
    const arrows = row.flatMap((s) => s.after.map((t) => [rank.get(s)!, rank.get(t)!] as const));
    arrows.forEach(([a, b], i) => {
      for (const [c, d] of arrows.slice(i + 1)) if ((a - c) * (b - d) < 0) n++;
    });
  }
  return n;
}

// Each slot is drawn towards the middle of its neighbours as far as its row lets it.
function place(rows: Slot[][]) {
  for (const row of rows) {
    let at = 0;
    for (const s of row) {
      s.lane = at + s.size / 2;
      at += s.size;
    }
    for (const s of row) s.lane -= at / 2;
  }
  for (let round = 0; round < 40; round++)
    for (const row of round % 2 ? [...rows].reverse() : rows) {
      const wish = row.map((s) => {
        const near = [...s.before, ...s.after];
        return near.length ? near.reduce((sum, t) => sum + t.lane, 0) / near.length : s.lane;
      });
      // Two passes, from either side, and the mean of both: nobody overlaps, nobody is favoured.
      const down = pushed(row, wish, 1);
      const up = pushed([...row].reverse(), [...wish].reverse(), -1).reverse();
      row.forEach((s, i) => (s.lane = (down[i]! + up[i]!) / 2));
    }
}

// pushed gives each slot what it wishes, or as far off as those before it in the row push it.
function pushed(row: Slot[], wish: number[], sign: 1 | -1): number[] {
  const at: number[] = [];
  let free = -Infinity;
  row.forEach((s, i) => {
    const lane = Math.max(sign * wish[i]!, free + s.size / 2);
    free = lane + s.size / 2;
    at.push(sign * lane);
  });
  return at;
}
