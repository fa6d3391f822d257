import { useQuery } from "@tanstack/react-query";
import { api, data, type Schemas } from "../../api/client";
import { Card, Copy, Loaded } from "../../ui";
import { Graph, type GraphEdge } from "../../ui/graph";
import { number, stepStates, stateWord, type Tone } from "../../words";
import { readDot, scopeSaid, type Step } from "./dot";
import { Timeline } from "./timeline";

type D = Schemas["Distribution"];
type Counts = Schemas["StepCounts"];

const states = ["done", "running", "retrying", "ready", "pending", "failed", "skipped", "cancelled"] as const;

/** useGraph is a distribution's graph as text, of which the steps and their needs are read; it does not change while it lives. */
function useGraph(d: D, format: "dot" | "mermaid") {
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
        <Loaded query={dot} lines={4}>{(text) => <Drawn steps={readDot(text)} counts={d.steps ?? []} />}</Loaded>
      </Card>
      <Card title="How long each step waits and works">
        <Loaded query={dot} lines={4}>{(text) => <Timeline d={d} steps={readDot(text)} />}</Loaded>
      </Card>
    </>
  );
}

const Labelled = ({ name, text }: { name: string; text: string | undefined }) => (text ? <span className="row faint" style={{ gap: 0 }}>{name}<Copy text={text} name={`the graph as ${name}`} /></span> : <span className="faint">{name}…</span>);

/** countsSaid is how many of a step are in which state: "20 done, 1 failed". */
function countsSaid(c: Counts | undefined): string {
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

/** Drawn is the graph, each box with how many of its step are in which state. */
function Drawn({ steps, counts }: { steps: Step[]; counts: Counts[] }) {
  const nodes = steps.map((s) => {
    const c = counts.find((c) => c.name === s.name);
    const shares = states.map((state): [Tone | undefined, number] => [state === "pending" || state === "ready" ? undefined : stateWord(stepStates, state).tone, c?.[state] ?? 0]);
    return { id: s.name, label: s.name, sub: s.function, scope: scopeSaid(s.scope), notes: [countsSaid(c)], optional: s.optional, tone: toneOf(c), shares };
  });
  return <Graph label="The steps, in order" nodes={nodes} edges={steps.flatMap((s) => s.needs.map((need): GraphEdge => [need, s.name]))} />;
}
