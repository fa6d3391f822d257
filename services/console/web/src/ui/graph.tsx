import { useId, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { Tone } from "../words";
import { layOut } from "./graph-layout";
import "./graph.css";

export interface GraphNode {
  id: string;
  label: string;
  /** A line below, in small letters. */
  sub?: string;
  tone?: Tone;
  /** For what it is done: "for each file". */
  scope?: string;
  /** More lines: a condition, counts. */
  notes?: string[];
  /** Drawn dashed: the rest goes on without it. */
  optional?: boolean;
  /** How many of it are in which state, as a bar along its lower edge; what has no tone is left empty. */
  shares?: [Tone | undefined, number][];
}

/** From, to, and what the arrow says when it is pointed at. */
export type GraphEdge = [from: string, to: string, says?: string];

const box = { width: 156, line: 17, gap: 18, way: 32 };

/**
 * Graph draws boxes and the arrows between them, from left to right where there is room, else from above. It is read out as a
 * list; a box that can be chosen is a button.
 */
export function Graph(p: { label: string; nodes: GraphNode[]; edges: GraphEdge[]; selected?: string; onSelect?: (id: string) => void }) {
  const arrow = useId();
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([e]) => e && setWidth(e.contentRect.width));
    watch.observe(frame.current!);
    return () => watch.disconnect();
  }, []);
  // Laid out anew when its boxes and arrows are others, not whenever a page has fetched the same again.
  const key = JSON.stringify([p.nodes.map((n) => n.id), p.edges]);
  const plan = useMemo(() => layOut(p.nodes.map((n) => n.id), p.edges.map(([a, b]) => [a, b])), [key]);
  const lines = (n: GraphNode) => 1 + (n.sub ? 1 : 0) + (n.scope ? 1 : 0) + (n.notes?.length ?? 0);
  const height = 18 + Math.max(...p.nodes.map(lines), 1) * box.line;
  // A little smaller is better than from above.
  const natural = plan.layers * (box.width + box.way) - box.way + 2;
  const across = width === 0 || natural * 0.88 <= width;
  const step = across ? { layer: box.width + box.way, lane: height + box.gap } : { layer: height + box.way, lane: box.width + box.gap };
  // The centre of a lane in a layer.
  const at = (layer: number, lane: number): [number, number] => {
    const along = layer * step.layer + (across ? box.width : height) / 2;
    const aside = lane * step.lane - box.gap / 2;
    return across ? [along, aside] : [aside, along];
  };
  const size: [number, number] = across
    ? [plan.layers * step.layer - box.way, Math.max(plan.lanes * step.lane - box.gap, height)]
    : [Math.max(plan.lanes * step.lane - box.gap, box.width), plan.layers * step.layer - box.way];
  const layerOf = new Map(plan.nodes.map((n) => [n.id, n.layer]));
  const half = (across ? box.width : height) / 2;
  const path = (from: string, lanes: number[], forth: boolean) => {
    const start = layerOf.get(from)!;
    const sign = forth ? 1 : -1;
    let d = "";
    lanes.forEach((lane, i) => {
      const [x, y] = at(start + sign * i, lane);
      const last = i === lanes.length - 1;
      const enter: [number, number] = across ? [x - sign * (half + (last ? 5 : 0)), y] : [x, y - sign * (half + (last ? 5 : 0))];
      const leave: [number, number] = across ? [x + sign * half, y] : [x, y + sign * half];
      if (i === 0) d = `M${leave}`;
      else {
        const [px, py] = at(start + sign * (i - 1), lanes[i - 1]!);
        const was: [number, number] = across ? [px + sign * half, py] : [px, py + sign * half];
        const bend = across ? (enter[0] - was[0]) / 2 : (enter[1] - was[1]) / 2;
        d += across ? `C${was[0] + bend},${was[1]} ${enter[0] - bend},${enter[1]} ${enter}` : `C${was[0]},${was[1] + bend} ${enter[0]},${enter[1] - bend} ${enter}`;
        if (!last) d += `L${leave}`;
      }
    });
    return d;
  };
  const byId = new Map(p.nodes.map((n) => [n.id, n]));
  return (
    // A narrow window scrolls it: by keyboard, too, where none of its boxes is a button.
    <div className="graph" ref={frame} tabIndex={p.onSelect ? undefined : 0}>
      <svg {...(across ? { style: { maxWidth: size[0] + 2, width: "100%" } } : { width: size[0] + 2, height: size[1] + 2 })} viewBox={`-1 -1 ${size[0] + 2} ${size[1] + 2}`} role="group" aria-label={p.label}>
        <defs>
          {[arrow, `${arrow}-near`].map((id) => (
            <marker key={id} id={id} viewBox="0 0 8 8" refX="4" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
              <path d="M0,0 L8,4 L0,8 z" className="tip" data-near={id !== arrow || undefined} />
            </marker>
          ))}
        </defs>
        {plan.edges.map((e) => {
          const near = p.selected === e.from || p.selected === e.to;
          const says = p.edges.find(([from, to]) => from === e.from && to === e.to)?.[2];
          return (
            <path key={`${e.from} ${e.to}`} className="way" d={path(e.from, e.lanes, layerOf.get(e.from)! <= layerOf.get(e.to)!)} markerEnd={`url(#${arrow}${near ? "-near" : ""})`} data-near={near || undefined}>
              <title>{`${byId.get(e.from)!.label} before ${byId.get(e.to)!.label}${says ? `: ${says}` : ""}`}</title>
            </path>
          );
        })}
        {plan.nodes.map(({ id, layer, lane }) => {
          const n = byId.get(id)!;
          const [x, y] = at(layer, lane);
          const more = [n.sub, n.scope, ...(n.notes ?? [])].filter((t): t is string => !!t);
          const top = y - ((1 + more.length) * box.line) / 2 + 12.5;
          const choose = p.onSelect && (() => p.onSelect!(id));
          return (
            <g
              key={id}
              className="box"
              data-tone={n.tone}
              data-optional={n.optional || undefined}
              {...(choose
                ? { role: "button", tabIndex: 0, "aria-pressed": p.selected === id, onClick: choose, onKeyDown: (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), choose()) }
                : { role: "img", "aria-label": [n.label, ...more, n.optional && "optional"].filter(Boolean).join(", ") })}
            >
              {!choose && <title>{[n.label, ...more, n.optional && "optional: the rest goes on without it"].filter(Boolean).join("\n")}</title>}
              <rect className="frame" x={x - box.width / 2} y={y - height / 2} width={box.width} height={height} rx="7" />
              <text x={x - box.width / 2 + 12} y={top} className="name">{`${cut(n.label, 20)} `}</text>
              {more.map((t, i) => (
                <text key={i} x={x - box.width / 2 + 12} y={top + (i + 1) * box.line} className={i === 0 && n.sub ? "sub code" : "sub"}>{`${cut(t, i === 0 && n.sub ? 20 : 25)} `}</text>
              ))}
              {n.shares && <Shares of={n.shares} x={x - box.width / 2 + 8} y={y + height / 2 - 7} width={box.width - 16} />}
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** Shares are parts of a whole, side by side. */
function Shares({ of, x, y, width }: { of: [Tone | undefined, number][]; x: number; y: number; width: number }) {
  const total = of.reduce((sum, [, n]) => sum + n, 0);
  let at = x;
  return (
    <>
      <rect className="track" x={x} y={y} width={width} height={4} rx={2} />
      {of.map(([tone, n], i) => {
        const from = at;
        at += total ? (n / total) * width : 0;
        return tone && n > 0 && <rect key={i} className="part" data-tone={tone} x={from} y={y} width={Math.max(1.5, at - from)} height={4} />;
      })}
    </>
  );
}

const cut = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
