import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { useSession } from "../api/session";
import { to } from "../routes";
import { Card, Copy, Empty, Go, Loaded, PageHead, Tabs, Time } from "../ui";
import { Source } from "../ui/code";
import { Graph } from "../ui/graph";
import { readGraph } from "../ui/graph-read";
import { count } from "../words";
import { PutDefinition } from "./definitions/put";
import { Rollouts } from "./definitions/rollouts";
import { useParams } from "./oncall/parts";
import "./oncall/oncall.css";
import "./queues/queues.css";

const useDefinitions = () => useQuery({ queryKey: ["definitions"], queryFn: async () => (await data(api.GET("/v1/definitions"))).definitions ?? [], refetchInterval: 60_000 });

/** Definitions are the graphs of steps that distributions follow; a version never changes. */
export default function Definitions({ name }: { name: string }) {
  const [param] = useParams();
  if (name) return <One key={name} name={name} />;
  if (param("new")) return <PutDefinition />;
  return <All />;
}

function All() {
  const session = useSession();
  const list = useDefinitions();
  return (
    <>
      <PageHead title="Definitions" below="Which steps a distribution takes, in which order. A version never changes, and a distribution keeps the one that it started with." actions={session.role === "admin" && <Go to={`${to.definitions()}?new=1`}>New definition</Go>} />
      <Loaded query={list}>
        {(all) => {
          const names = [...new Set(all.map((d) => d.name!))];
          if (names.length === 0) return <Card><Empty title="There is no definition">Without one nothing can be sent. Orchestrators bring the built-in one along when they start.</Empty></Card>;
          return (
            <Card bare>
              <ul className="lines">
                {names.map((n) => {
                  const versions = all.filter((d) => d.name === n);
                  const newest = versions[0]!;
                  return (
                    <li key={n}>
                      <div className="head">
                        <Link href={to.definitions(n)} className="title">{n}</Link>
                        <span className="soft number">version {newest.version}{versions.length > 1 ? `, and ${count(versions.length - 1, "older one")}` : ""}</span>
                      </div>
                      <div className="asides faint"><span>since <Time at={newest.created_at} /></span><code>{newest.functions?.join(", ")}</code></div>
                    </li>
                  );
                })}
              </ul>
            </Card>
          );
        }}
      </Loaded>
    </>
  );
}

const tabs: [string, string][] = [["", "Graph"], ["source", "Source"], ["rollouts", "Rollouts"]];

function One({ name }: { name: string }) {
  const [param, set] = useParams();
  const session = useSession();
  const versions = useDefinitions();
  const version = Number(param("version")) || 0;
  const here = param("tab");
  const one = useQuery({ queryKey: ["definition", name, version], queryFn: () => data(api.GET("/v1/definitions/{name}", { params: { path: { name }, query: { version } } })) });
  const mine = versions.data?.filter((d) => d.name === name) ?? [];
  const at = (tab: string) => `${to.definitions(name)}?${new URLSearchParams({ ...(tab && { tab }), ...(version && { version: String(version) }) })}`.replace(/\?$/, "");
  if (param("new")) return one.data ? <PutDefinition from={one.data} /> : <Loaded query={one}>{() => null}</Loaded>;
  return (
    <>
      <PageHead
        title={name}
        above={<Link href={to.definitions()}>Definitions</Link>}
        actions={
          <>
            <label>
              <span className="unseen">Version</span>
              <select className="input" value={version} onChange={(e) => set({ version: e.target.value === "0" ? "" : e.target.value }, true)}>
                <option value={0}>Newest{mine[0] ? `: version ${mine[0].version}` : ""}</option>
                {mine.slice(1).map((d) => <option key={d.version} value={d.version}>Version {d.version}</option>)}
              </select>
            </label>
            {session.role === "admin" && <Go to={`${to.definitions(name)}?new=1${version ? `&version=${version}` : ""}`}>New version</Go>}
          </>
        }
      />
      <Tabs label="What is shown" here={here} tabs={tabs.map(([id, text]) => ({ id, text, to: at(id) }))} />
      <Loaded query={one} lines={10}>
        {(d) => (here === "source" ? <TheSource d={d} /> : here === "rollouts" ? <Rollouts name={name} versions={mine} /> : <Drawn d={d} />)}
      </Loaded>
    </>
  );
}

function Drawn({ d }: { d: Schemas["Definition"] }) {
  const graph = useQuery({
    queryKey: ["definition-graph", d.name, d.version],
    queryFn: async () => readGraph((await data(api.GET("/v1/definitions/{name}/graph", { params: { path: { name: d.name! }, query: { version: d.version } } }))).text ?? ""),
    staleTime: Infinity,
  });
  const [param, set] = useParams();
  return (
    <>
      <Card title={`Version ${d.version}`} actions={<span className="faint">stored <Time at={d.created_at} /></span>}>
        <Loaded query={graph} lines={8}>
          {(g) => <Graph label={`The steps of ${d.name}, in order`} {...g} selected={param("step")} onSelect={(id) => set({ step: id === param("step") ? "" : id })} />}
        </Loaded>
      </Card>
      {param("step") && <Step d={d} step={param("step")} />}
    </>
  );
}

/** Step shows what the source says of one step. */
function Step({ d, step }: { d: Schemas["Definition"]; step: string }) {
  const lines = (d.source ?? "").split("\n");
  const from = lines.findIndex((l) => /^\s*- name: *["']?(.*?)["']?\s*$/.exec(l)?.[1] === step);
  if (from < 0) return null;
  const indent = lines[from]!.indexOf("-");
  let until = from + 1;
  while (until < lines.length && (lines[until]!.trim() === "" || lines[until]!.search(/\S/) > indent)) until++;
  return <Card title={<>What the source says of {step}</>}><Source label={`Step ${step}`} from={from + 1} text={lines.slice(from, until).map((l) => l.slice(indent)).join("\n").trimEnd()} /></Card>;
}

function TheSource({ d }: { d: Schemas["Definition"] }) {
  return (
    <Card title={`Version ${d.version}`} actions={<Copy text={d.source ?? ""} name="the source" />}>
      <Source label={`Source of ${d.name}, version ${d.version}`} text={d.source ?? ""} />
    </Card>
  );
}
