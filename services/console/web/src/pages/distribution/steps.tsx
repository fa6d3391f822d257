import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, data, type Schemas } from "../../api/client";
import { Card, Copy, Loaded } from "../../ui";
import { number, stepStates, stateWord, type Tone } from "../../words";
import { boxHeight, boxWidth, curve, layout, readDot, scopeSaid, type Step } from "./graph";
import { Timeline } from "./timeline";

type D = Schemas["Distribution"];
type Counts = Schemas["StepCounts"];

const states = ["done", "running", "retrying", "ready", "pending", "failed", "skipped", "cancelled"] as const;

/** useGraph is a distribution's graph as text, of which the steps and their needs are read; it does not change while it lives. */
export function useGraph(d: D, format: "dot" | "mermaid") {
  return useQuery({
    queryKey: ["graph", d.production, d.id, format],
    queryFn: async () => (await data(api.GET("/v1/productions/{production}/distributions/{distribution}/graph", { params: { path: { production: d.production!, distribution: d.id! }, query: { format } } }))).text ?? "",
    staleTime: format === "dot" ? Infinity : 10_000,
  });
}

/** Steps shows what a distribution runs: the graph with how many are in which state, and how long each waits and works. */
export default function Steps({ d }: { d: D }) {
  const dot = useGraph(d, "dot");
  const mermaid = useGraph(d, "mermaid");
  return (
    <>
      <Card
        title={`${d.definition?.name ?? "Steps"}, version ${d.definition?.version ?? "?"}`}
        actions={<span className="row"><span className="faint">As text:</span> <Labelled name="Mermaid" text={mermaid.data} /> <Labelled name="DOT" text={dot.data} /></span>}
      >
        <Loaded query={dot} lines={4}>{(text) => <Graph steps={readDot(text)} counts={d.steps ?? []} />}</Loaded>
      </Card>
      <Card title="How long each step waits and works">
        <Loaded query={dot} lines={4}>{(text) => <Timeline d={d} steps={readDot(text)} />}</Loaded>
      </Card>
    </>
  );
}

const Labelled = ({ name, text }: { name: string; text: string | undefined }) => (text ? <span className="row faint" style={{ gap: 0 }}>{name}<Copy text={text} name={`the graph as ${name}`} /></span> : <span className="faint">{name}…</span>);

/** countsSaid is how many of a step are in which state: "20 done, 1 failed". */
export function countsSaid(c: Counts | undefined): string {
  const all = states.filter((s) => c?.[s]).map((s) => `${number(c![s]!)} ${stateWord(stepStates, s).text.toLowerCase()}`);
  return all.join(", ") || "none yet";
}

/** toneOf is how a step is as a whole. */
function toneOf(c: Counts | undefined): Tone {
  if (!c) return "wait";
  if (c.failed) return "bad";
  if (c.retrying) return "wait";
  if (c.running) return "busy";
  if (c.ready || c.pending) return "wait";
  return c.done ? "good" : "off";
}

function Graph({ steps, counts }: { steps: Step[]; counts: Counts[] }) {
  const drawn = useMemo(() => layout(steps), [steps.length]);
  const of = (name: string) => counts.find((c) => c.name === name);
  return (
    <>
      <ol className="unseen">
        {steps.map((s) => (
          <li key={s.name}>
            {s.name}, {scopeSaid(s.scope)}{s.optional ? ", optional" : ""}, by {s.function}{s.needs.length ? `, after ${s.needs.join(" and ")}` : ""}: {countsSaid(of(s.name))}.
          </li>
        ))}
      </ol>
      <div className="scroll graphBox" tabIndex={0} role="group" aria-label="The graph of the steps; the list before it says the same">
        <svg className="graph" width={drawn.width + 4} height={drawn.height + 4} viewBox={`-2 -2 ${drawn.width + 4} ${drawn.height + 4}`} aria-hidden>
          <defs>
            <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.5 7 4 0 7.5z" /></marker>
          </defs>
          {drawn.edges.map((e) => <path key={`${e.from}>${e.to}`} className="edge" d={curve(e.points)} markerEnd="url(#arrow)" />)}
          {drawn.boxes.map(({ step, x, y }) => {
            const c = of(step.name);
            return (
              <g key={step.name} transform={`translate(${x} ${y})`} data-tone={toneOf(c)} className="node" data-optional={step.optional || undefined}>
                <title>{`${step.name}: ${countsSaid(c)}`}</title>
                <rect width={boxWidth} height={boxHeight} rx="8" />
                <text x="12" y="22" className="nodeName">{short(step.name, 20)}</text>
                <text x={boxWidth - 12} y="22" textAnchor="end" className="nodeSoft">{step.optional ? "optional" : ""}</text>
                <text x="12" y="40" className="nodeSoft">{scopeSaid(step.scope)}</text>
                <Shares c={c} />
                <text x="12" y="74" className="nodeCount">{short(countsSaid(c), 32)}</text>
              </g>
            );
          })}
        </svg>
      </div>
    </>
  );
}

const short = (s: string, most: number) => (s.length > most ? `${s.slice(0, most - 1)}…` : s);

/** Shares is how a step's many are spread over states, as a thin bar in its box. */
function Shares({ c }: { c: Counts | undefined }) {
  const total = states.reduce((n, s) => n + (c?.[s] ?? 0), 0);
  let x = 12;
  const width = boxWidth - 24;
  return (
    <>
      <rect className="track" x={x} y={50} width={width} height={6} rx={3} />
      {states.map((s) => {
        const w = total ? ((c?.[s] ?? 0) / total) * width : 0;
        const at = x;
        x += w;
        return w > 0 && s !== "pending" && s !== "ready" && <rect key={s} className="part" data-tone={stateWord(stepStates, s).tone} x={at} y={50} width={Math.max(1.5, w)} height={6} rx={Math.min(3, w / 2)} />;
      })}
    </>
  );
}
