import { useQuery } from "@tanstack/react-query";
import type { Schemas } from "../../api/client";
import { Empty, Loaded } from "../../ui";
import { count, number, span } from "../../words";
import { scopeSaid, type Step } from "./dot";
import { clockTime } from "./said";
import { apiSource, type Item } from "./sheet";

type D = Schemas["Distribution"];

/** sampleMost is how many copies are looked at: of more, people from all along the list with all of theirs. */
const sampleMost = 800;

/** Spent is how long one step waited and worked, over all that were looked at. */
export interface Spent {
  step: Step;
  n: number;
  /** Times in milliseconds, ascending. */
  waits: number[];
  works: number[];
  again: number;
  /** The stretch in which some were in the queue, and that in which some were at work. */
  ready: [number, number];
  work: [number, number];
}

/** spend sums up copies' steps by step: from when a step's last need was done until it began, and from then until its end. */
export function spend(d: D, steps: Step[], items: Item[], now: number): Spent[] {
  const by = new Map(steps.map((s) => [s.name, s]));
  const ended = new Map<string, number>(); // "step unit" -> when
  const seen = new Map<string, { step: Step; view: Schemas["StepView"]; unit: string; needs: Set<string> }>();
  for (const item of items) {
    const [file, person] = (item.id ?? "").split(".").slice(-2) as [string, string];
    const unitOf = (s: Step) => (s.scope === "file" ? `f${file}` : s.scope === "recipient" ? `r${person}` : `i${file}.${person}`);
    for (const view of item.steps ?? []) {
      const step = by.get(view.name ?? "");
      if (!step) continue;
      const key = `${step.name} ${unitOf(step)}`;
      if (view.ended_at) ended.set(key, Date.parse(view.ended_at));
      const kept = seen.get(key) ?? { step, view, unit: unitOf(step), needs: new Set<string>() };
      // A step of a person waits for all of their copies: its needs are those of each.
      for (const need of step.needs) if (by.has(need)) kept.needs.add(`${need} ${unitOf(by.get(need)!)}`);
      seen.set(key, kept);
    }
  }
  const begun = Date.parse(d.created_at ?? "");
  const held = d.held_until ? Date.parse(d.held_until) : 0;
  const out = new Map<string, Spent>(steps.map((step) => [step.name, { step, n: 0, waits: [], works: [], again: 0, ready: [Infinity, 0], work: [Infinity, 0] }]));
  for (const { step, view, needs } of seen.values()) {
    const s = out.get(step.name)!;
    if (!view.started_at) continue;
    const start = Date.parse(view.started_at);
    let ready = begun;
    for (const need of needs) ready = Math.max(ready, ended.get(need) ?? 0);
    if (step.scope === "recipient" && held <= start) ready = Math.max(ready, held);
    ready = Math.min(ready, start);
    const end = view.ended_at ? Date.parse(view.ended_at) : now;
    s.n++;
    s.waits.push(start - ready);
    if (view.ended_at) s.works.push(end - start);
    if ((view.attempts ?? 0) > 1) s.again++;
    s.ready = [Math.min(s.ready[0], ready), Math.max(s.ready[1], start)];
    s.work = [Math.min(s.work[0], start), Math.max(s.work[1], end)];
  }
  for (const s of out.values()) (s.waits.sort((a, b) => a - b), s.works.sort((a, b) => a - b));
  return [...out.values()];
}

const at = (sorted: number[], q: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

/** sample reads all copies, or of many those of people from all along the list. */
async function sample(d: D): Promise<Item[]> {
  const source = apiSource(d.production!, d.id!);
  const files = d.files?.length ?? 0;
  const people = d.recipients?.total ?? 0;
  if (files * people <= sampleMost) return source.items(0, sampleMost);
  const looked = Math.min(files, 40);
  const each = Math.max(1, Math.floor(sampleMost / looked / 4));
  const got: Item[] = [];
  for (let part = 0; part < 4; part++) {
    const from = Math.max(0, Math.min(people - each, Math.floor((people / 4) * part + people / 8)));
    for (let f = 0; f < looked; f++) got.push(...(await source.items(f * people + from, Math.min(each, people))));
  }
  return got;
}

/** Timeline is one line for each step: when it was waited for, when it was worked on, and how long for one. */
export function Timeline({ d, steps }: { d: D; steps: Step[] }) {
  const items = useQuery({
    queryKey: ["sample", d.production, d.id, !!d.ended_at],
    queryFn: async () => {
      const got = await sample(d);
      return { looked: got.length, spent: spend(d, steps, got, Date.now()), now: Date.now() };
    },
    refetchInterval: d.ended_at ? false : 15_000,
    staleTime: 10_000,
  });
  return <Loaded query={items} lines={steps.length}>{(s) => <Rows d={d} {...s} />}</Loaded>;
}

function Rows({ d, looked, spent, now }: { d: D; looked: number; spent: Spent[]; now: number }) {
  const from = Date.parse(d.created_at ?? "");
  const to = Math.max(d.ended_at ? Date.parse(d.ended_at) : now, ...spent.filter((s) => s.n).map((s) => s.work[1]), from + 1);
  const x = (t: number) => `${(Math.max(0, Math.min(to, t) - from) / (to - from)) * 100}%`;
  const w = (a: number, b: number) => `max(2px, ${(Math.max(0, b - a) / (to - from)) * 100}%)`;
  const total = d.items?.total ?? looked;
  const some = spent.some((s) => s.n);
  if (!some) return <Empty title="No step has begun yet">As soon as one has, it is seen here how long each waits for a worker, and how long the work itself takes.</Empty>;
  return (
    <div className="stack">
      <div className="scroll" tabIndex={0}>
        <table className="table timeline">
          <thead>
            <tr><th>Step</th><th className="right">Waits for a worker</th><th className="right">Is worked on</th><th className="lane"><span className="row" style={{ justifyContent: "space-between" }}><span>{clockTime(from)}</span><span>{span((to - from) / 1000)} in all</span><span>{clockTime(to)}</span></span></th></tr>
          </thead>
          <tbody>
            {spent.map((s) => (
              <tr key={s.step.name}>
                <td><b>{s.step.name}</b><div className="faint">{scopeSaid(s.step.scope)}{s.again ? `, ${number(s.again)} more than once` : ""}</div></td>
                <td className="right number" title="Waits for a worker"><Typical of={s.waits} /></td>
                <td className="right number" title="Is worked on"><Typical of={s.works} /></td>
                <td className="lane">
                  {s.n > 0 && (
                    <div className="laneBox" role="img" aria-label={`In the queue from ${span((s.ready[0] - from) / 1000)} to ${span((s.ready[1] - from) / 1000)} after the beginning, at work from ${span((s.work[0] - from) / 1000)} to ${span((s.work[1] - from) / 1000)}`}>
                      <span className="queue" style={{ left: x(s.ready[0]), width: w(s.ready[0], s.ready[1]) }} title="Some were in the queue" />
                      <span className="work" style={{ left: x(s.work[0]), width: w(s.work[0], s.work[1]) }} title="Some were at work" />
                    </div>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <ul className="legend kinds"><li data-kind="slot">some wait for a worker</li><li data-kind="service">some are worked on</li></ul>
      <p className="faint">
        First what one waits for a worker, then what it is worked on: the middle one, and below it what nine of ten stay under{looked < total ? `; of ${count(looked, "copy", "copies")} of people from all along the list, ${number(total)} there are` : ""}. Time between tries counts as waiting.
      </p>
    </div>
  );
}

const Typical = ({ of }: { of: number[] }) =>
  of.length === 0 ? <span className="faint">–</span> : <>{span((at(of, 0.5) ?? 0) / 1000)}<div className="faint">{span((at(of, 0.9) ?? 0) / 1000)}</div></>;
