import { useLayoutEffect, useRef, useState } from "react";
import type { Tone } from "../../words";

export interface Series {
  name: string;
  /** By week; null where there is nothing to say. */
  values: (number | null)[];
  tone: Tone;
  /** Drawn as a line, else as columns. */
  line?: boolean;
}

const [height, foot, side] = [120, 20, 56];
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

/** round is the next number that reads well, above n. */
function round(n: number): number {
  if (n <= 0) return 1;
  const ten = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((f) => f * ten).find((v) => v >= n) ?? 10 * ten;
}

/** Tops of a scale of time, in seconds: they and their halves read well. */
export const times = [2, 4, 10, 20, 40, 60, 120, 240, 600, 1200, 2400, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 345600];

/** Chart draws a few weeks small; what a week says stands above while it is pointed at, else the last week's. The table has all numbers. */
export function Chart(p: { label: string; weeks: string[]; series: Series[]; say: (v: number) => string; tops?: number[] }) {
  const [at, setAt] = useState<number>();
  // As wide as there is room, so that its letters are as large as others.
  const [width, setWidth] = useState(320);
  const frame = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([e]) => e && setWidth(Math.max(120, Math.floor(e.contentRect.width))));
    watch.observe(frame.current!);
    return () => watch.disconnect();
  }, []);
  const n = p.weeks.length;
  const top = Math.max(0, ...p.series.flatMap((s) => s.values.map((v) => v ?? 0)));
  const most = p.tops?.find((t) => t >= top) ?? round(top);
  // What the scale says stands beside, so that no column hides it.
  const plot = width - side;
  const step = plot / n;
  const y = (v: number) => height - (v / most) * (height - 6);
  const shown = at ?? n - 1;
  const columns = p.series.filter((s) => !s.line);
  return (
    <figure className="chart" ref={frame}>
      <figcaption className="asides number">
        <span className="soft">{at === undefined ? "This week" : `Week from ${day.format(new Date(p.weeks[shown]!))}`}</span>
        {p.series.map((s) => {
          const v = s.values[shown];
          return <span key={s.name} data-tone={s.tone} className="key">{v === null || v === undefined ? "–" : p.say(v)} {p.series.length > 1 && s.name}</span>;
        })}
      </figcaption>
      <svg width={width} height={height + foot} viewBox={`0 0 ${width} ${height + foot}`} role="img" aria-label={`${p.label}, by week: ${p.series.map((s) => `${s.name} ${s.values.map((v) => (v === null ? "none" : p.say(v))).join(", ")}`).join("; ")}`} onPointerLeave={() => setAt(undefined)}>
        <line x1="0" x2={plot} y1={y(most)} y2={y(most)} className="grid" />
        <line x1="0" x2={plot} y1={y(most / 2)} y2={y(most / 2)} className="grid" />
        <line x1="0" x2={plot} y1={height} y2={height} className="ground" />
        <text x={width} y={y(most) + 4} textAnchor="end">{p.say(most)}</text>
        <text x={width} y={y(most / 2) + 4} textAnchor="end">{p.say(most / 2)}</text>
        {at !== undefined && <rect x={at * step} y="0" width={step} height={height} className="here" />}
        {columns.map((s) =>
          s.values.map((v, i) => {
            if (!v) return null;
            // One behind the other: what failed is a part of what ended.
            const w = Math.min(step * 0.66, 26);
            return <rect key={`${s.name} ${i}`} x={i * step + (step - w) / 2} y={y(v)} width={w} height={Math.max(1.5, height - y(v))} rx={Math.min(2.5, w / 3)} className="column" data-tone={s.tone} />;
          }),
        )}
        {p.series.filter((s) => s.line).map((s) => (
          <g key={s.name} data-tone={s.tone} className="curve">
            <polyline points={s.values.map((v, i) => (v === null ? null : `${i * step + step / 2},${y(v)}`)).filter(Boolean).join(" ")} />
            {s.values.map((v, i) => v !== null && <circle key={i} cx={i * step + step / 2} cy={y(v)} r={i === at ? 4 : n > 30 ? 0 : 2.5} />)}
          </g>
        ))}
        <text x="0" y={height + foot - 4}>{day.format(new Date(p.weeks[0]!))}</text>
        {n > 1 && <text x={plot} y={height + foot - 4} textAnchor="end">{day.format(new Date(p.weeks[n - 1]!))}</text>}
        {p.weeks.map((w, i) => <rect key={w} x={i * step} y="0" width={step} height={height} fill="transparent" onPointerEnter={() => setAt(i)} />)}
      </svg>
    </figure>
  );
}
