// The graph of a distribution's steps: read out of its DOT text, and laid out in layers. Pure.

export interface Step {
  name: string;
  /** The function that performs it. */
  function: string;
  /** file, item, recipient or distribution: what there is one of it for. */
  scope: string;
  optional: boolean;
  needs: string[];
}

const scopes: Record<string, string> = { file: "for each file", item: "for each copy", recipient: "for each person", distribution: "once for all" };
export const scopeSaid = (scope: string) => scopes[scope] ?? scope;

/** readDot reads steps, scopes and needs out of what the API draws. */
export function readDot(text: string): Step[] {
  const steps = new Map<string, Step>();
  let scope = "distribution";
  for (const line of text.split("\n")) {
    const cluster = /subgraph "cluster_(\w+)"/.exec(line);
    if (cluster) scope = cluster[1]!;
    const edge = /^\s*"((?:[^"\\]|\\.)*)" -> "((?:[^"\\]|\\.)*)"/.exec(line);
    if (edge) {
      steps.get(edge[2]!)?.needs.push(edge[1]!);
      continue;
    }
    const node = /^\s*"((?:[^"\\]|\\.)*)" \[label="((?:[^"\\]|\\.)*)"/.exec(line);
    if (!node) continue;
    const lines = node[2]!.split("\\n");
    steps.set(node[1]!, { name: node[1]!, function: lines[1] ?? "", scope, optional: lines.includes("optional"), needs: [] });
  }
  return [...steps.values()];
}

export interface Box {
  step: Step;
  layer: number;
  x: number;
  y: number;
}

export interface Drawn {
  boxes: Box[];
  /** Lines as points, from a step to one that needs it. */
  edges: { from: string; to: string; points: [number, number][] }[];
  width: number;
  height: number;
}

export const boxWidth = 196;
export const boxHeight = 84;
const gapX = 60;
const gapY = 26;

/**
 * layout puts each step one layer to the right of the last that it needs. A line over several layers gets a place of its own
 * in each, so that it goes around what is there.
 */
export function layout(steps: Step[]): Drawn {
  const by = new Map(steps.map((s) => [s.name, s]));
  const layers = new Map<string, number>();
  const layerOf = (name: string, above: string[]): number => {
    const known = layers.get(name);
    if (known !== undefined) return known;
    const needs = (by.get(name)?.needs ?? []).filter((n) => by.has(n) && !above.includes(n));
    const l = needs.length ? 1 + Math.max(...needs.map((n) => layerOf(n, [...above, name]))) : 0;
    layers.set(name, l);
    return l;
  };
  for (const s of steps) layerOf(s.name, []);

  // Places of each layer: steps, and of lines that pass, "from>to".
  const most = Math.max(0, ...layers.values());
  const places: string[][] = Array.from({ length: most + 1 }, () => []);
  const before = new Map<string, string[]>();
  for (const s of steps) places[layers.get(s.name)!]!.push(s.name);
  for (const s of steps)
    for (const need of s.needs.filter((n) => by.has(n))) {
      let last = need;
      for (let l = layers.get(need)! + 1; l < layers.get(s.name)!; l++) {
        const pass = `${need}>${s.name}@${l}`;
        places[l]!.push(pass);
        before.set(pass, [last]);
        last = pass;
      }
      before.set(s.name, [...(before.get(s.name) ?? []), last]);
    }
  // Each stands near the middle of what it comes from: a pass from left to right is enough for graphs people write.
  const row = new Map<string, number>();
  for (const layer of places) {
    const middle = (name: string) => {
      const from = (before.get(name) ?? []).map((n) => row.get(n) ?? 0);
      return from.length ? from.reduce((a, b) => a + b, 0) / from.length : 0;
    };
    layer.sort((a, b) => middle(a) - middle(b) || Number(a.includes(">")) - Number(b.includes(">")));
    layer.forEach((name, i) => row.set(name, i));
  }
  const rows = Math.max(1, ...places.map((l) => l.length));
  const height = rows * boxHeight + (rows - 1) * gapY;
  const at = new Map<string, [number, number]>();
  places.forEach((layer, l) => {
    const own = layer.length * boxHeight + (layer.length - 1) * gapY;
    layer.forEach((name, i) => at.set(name, [l * (boxWidth + gapX), (height - own) / 2 + i * (boxHeight + gapY)]));
  });
  const edges: Drawn["edges"] = [];
  for (const s of steps)
    for (const need of s.needs.filter((n) => by.has(n))) {
      const [fx, fy] = at.get(need)!;
      const [tx, ty] = at.get(s.name)!;
      const points: [number, number][] = [[fx + boxWidth, fy + boxHeight / 2]];
      for (let l = layers.get(need)! + 1; l < layers.get(s.name)!; l++) {
        const [px, py] = at.get(`${need}>${s.name}@${l}`)!;
        points.push([px, py + boxHeight / 2], [px + boxWidth, py + boxHeight / 2]);
      }
      points.push([tx, ty + boxHeight / 2]);
      edges.push({ from: need, to: s.name, points });
    }
  const boxes = steps.map((step) => ({ step, layer: layers.get(step.name)!, x: at.get(step.name)![0], y: at.get(step.name)![1] }));
  return { boxes, edges, width: (most + 1) * boxWidth + most * gapX, height };
}

/** curve is a line through points, leaving and arriving level. */
export function curve(points: [number, number][]): string {
  let d = `M${points[0]![0]} ${points[0]![1]}`;
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1]!;
    const [x1, y1] = points[i]!;
    const bend = (x1 - x0) / 2;
    d += y0 === y1 ? `L${x1} ${y1}` : `C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
  }
  return d;
}
