import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { to } from "../routes";
import { Badge, Button, Card, Empty, Go, Loaded, Notice, PageHead, State, toast } from "../ui";
import { count, seconds, severities, span } from "../words";
import { useAsk } from "./oncall/ask";
import { useNames, useParams } from "./oncall/parts";
import { doing } from "./rules/actions";
import { ApplyRules } from "./rules/apply";
import { EditRule } from "./rules/edit";
import { onWords } from "./rules/write";
import "./oncall/oncall.css";
import "./rules/rules.css";

/** Rules say what is trouble, for how long, and what is done then. */
export default function Rules() {
  const [param] = useParams();
  const rules = useQuery({ queryKey: ["rules"], queryFn: () => data(api.GET("/v1/rules")), refetchInterval: 15_000 });
  if (param("new")) return <EditRule />;
  return (
    <Loaded query={rules} lines={10}>
      {(r) => {
        const list = r.rules ?? [];
        if (param("yaml")) return <ApplyRules own={list.filter((x) => !x.source)} />;
        if (param("rule")) {
          const one = list.find((x) => x.name === param("rule"));
          return one ? <EditRule key={one.name} from={one} /> : <Empty title="There is no such rule" action={<Go to={to.rules()}>All rules</Go>} />;
        }
        return <All list={list} />;
      }}
    </Loaded>
  );
}

function All({ list }: { list: Schemas["Rule"][] }) {
  const broken = list.filter((r) => r.problem);
  const off = list.filter((r) => r.disabled).length;
  const mute = list.filter((r) => !r.disabled && r.severity === "page" && !r.actions?.length).length;
  return (
    <>
      <PageHead
        title="Rules"
        below={`${count(list.length, "rule")}${off ? `, ${off} of them switched off` : ""}. A rule of the same name that you put goes before one of ours.`}
        actions={<><Go to={`${to.rules()}?yaml=1`}>As YAML</Go><Go to={`${to.rules()}?new=1`} look="main">New rule</Go></>}
      />
      {broken.length > 0 && <Notice tone="bad" alert title={`${count(broken.length, "rule")} cannot be looked at now:`}>{broken.map((r) => r.name).join(", ")}. What {broken.length === 1 ? "it" : "they"} would find is not told.</Notice>}
      {mute > 0 && <Notice tone="wait" title={`${count(mute, "urgent rule tells", "urgent rules tell")} nobody.`}>{mute === 1 ? "It has" : "They have"} no action: an alert stands on the page of alerts, and nobody is woken. Give them one, a mail or a webhook.</Notice>}
      <Card bare>
        <ul className="lines">{[...list].sort((a, b) => Number(!!b.problem) - Number(!!a.problem) || Number(!!a.disabled) - Number(!!b.disabled)).map((r) => <Line key={r.name} r={r} />)}</ul>
      </Card>
    </>
  );
}

/** How many alerts of a rule are open, which end with it. */
async function openOf(rule: string): Promise<number> {
  const r = await Promise.all((["open", "acknowledged"] as const).map((state) => data(api.GET("/v1/alerts", { params: { query: { state, page_size: 1000 } } }))));
  return r.flatMap((x) => x.alerts ?? []).filter((a) => a.rule === rule).length;
}

function Line({ r }: { r: Schemas["Rule"] }) {
  const [ask, asked] = useAsk();
  const name = useNames();
  const put = (disabled: boolean) => data(api.PUT("/v1/rules/{name}", { params: { path: { name: r.name! } }, body: { ...r, disabled, source: undefined, problem: undefined } }));
  // How many end with it is part of the question: who cannot be told is not asked.
  const counted = async (then: (open: number) => void) => {
    try {
      then(await openOf(r.name!));
    } catch (e) {
      toast("bad", `How many alerts of ${r.name} are open could not be read. ${(e as Error).message}`);
    }
  };
  const ends = (n: number) => (n ? `${count(n, "alert of it is open and ends", "alerts of it are open and end")} with it. ` : "");
  const turn = (n: number) =>
    ask({
      title: r.disabled ? `Switch ${r.name} on?` : `Switch ${r.name} off?`,
      says: r.disabled ? <p>From now on it is looked at every few seconds, and {r.actions?.length ? `${r.actions.map(doing).join(", ")} when it finds something` : "its alerts stand on the page of alerts"}.</p> : <p>{ends(n)}What it would find from now on is told to nobody, until it is switched on again.</p>,
      yes: r.disabled ? "Switch it on" : "Switch it off",
      look: r.disabled ? "main" : "bad",
      act: () => put(!r.disabled),
      done: `${r.name} is switched ${r.disabled ? "on" : "off"}.`,
      stale: ["rules", "alerts", "overview"],
    });
  const remove = (n: number) =>
    ask({
      title: `Delete ${r.name}?`,
      says: <p>{ends(n)}If one of ours or of the observer's file has this name, that one holds again; else nothing looks for this any more.</p>,
      yes: "Delete it",
      look: "bad",
      act: () => data(api.DELETE("/v1/rules/{name}", { params: { path: { name: r.name! } } })),
      done: `${r.name} is deleted.`,
      stale: ["rules", "alerts", "overview"],
    });
  return (
    <li data-off={r.disabled || undefined} className="rule">
      <div className="head">
        <Link href={`${to.rules()}?rule=${r.name}`} className="title">{r.title || r.name}</Link>
        {r.disabled ? <Badge tone="off">Switched off</Badge> : <State of={severities} is={r.severity || "warn"} />}
      </div>
      {r.problem && <p style={{ color: "var(--bad)" }}>{r.problem}</p>}
      <p className="words">
        Of {onWords[r.on as keyof typeof onWords] ?? r.on}: <code>{r.when}</code>
        {r.for && <> for {span(seconds(r.for))}</>}
        {r.absent && <>, none in {span(seconds(r.absent))}</>}
      </p>
      <div className="asides faint">
        <code>{r.name}</code>
        {r.source && <span>{r.source === "built in" ? "one of ours" : r.source}</span>}
        {r.productions?.length ? <span>only in {r.productions.map(name).join(", ")}</span> : null}
        <span>{r.actions?.length ? r.actions.map(doing).join(", ") : "tells nobody"}</span>
      </div>
      <div className="acts">
        <Go to={`${to.rules()}?rule=${r.name}`} size="small">Change or test</Go>
        <Button size="small" look="quiet" onClick={() => (r.disabled ? turn(0) : void counted(turn))}>{r.disabled ? "Switch on…" : "Switch off…"}</Button>
        {!r.source && <Button size="small" look="quiet" onClick={() => void counted(remove)}>Delete…</Button>}
      </div>
      {asked}
    </li>
  );
}
