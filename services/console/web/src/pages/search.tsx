import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { hitPath } from "../palette";
import { to } from "../routes";
import { Bar, Button, Card, Empty, Field, Input, Loaded, PageHead, State, Tabs, Time } from "../ui";
import { count, deliveryStates, distributionStates, itemStates, number, seconds, span, type Word } from "../words";
import { itemParts } from "./distributions";
import { every, Fresh, OfProduction, Pages, useNames, useParams, useTyped } from "./oncall/parts";
import "./oncall/oncall.css";

const kinds: [string, string, Record<string, Word>][] = [
  ["recipient", "People", deliveryStates],
  ["distribution", "Distributions", distributionStates],
  ["file", "Files", itemStates],
  ["item", "Copies", itemStates],
  ["message", "Mails", deliveryStates],
  ["trace", "Traces", itemStates],
  ["run", "Runs elsewhere", distributionStates],
];

const filters = ["state", "person", "file", "title", "error", "worker", "definition", "after", "before", "late"];

/** Search finds anything by whatever is at hand, or distributions by what is known of them. */
export default function Search() {
  const [param] = useParams();
  const filtering = param("tab") === "distributions" || filters.some((f) => param(f));
  return (
    <>
      <PageHead title="Search" actions={<OfProduction />} />
      <Tabs
        label="What is searched"
        here={filtering ? "distributions" : "all"}
        tabs={[
          { id: "all", to: to.search(param("q")), text: "Anything" },
          { id: "distributions", to: `${to.search()}?tab=distributions`, text: "Distributions by what is known" },
        ]}
      />
      {filtering ? <Find /> : <Anything />}
    </>
  );
}

function Anything() {
  const [param, set] = useParams();
  const [text, setText] = useTyped("q");
  const [q, kind, production, page] = [param("q"), param("kind"), param("production"), param("page")];
  const found = useQuery({
    queryKey: ["search", q, kind, production, page],
    queryFn: () => data(api.GET("/v1/search", { params: { query: { query: q, kind, production, page_size: 100, page_token: page } } })),
    enabled: q.length >= 2,
    placeholderData: keepPreviousData,
  });
  return (
    <>
      <div className="filters" role="search">
        <div className="grow" style={{ minWidth: "min(20rem, 100%)" }}>
          <label className="unseen" htmlFor="q">What is looked for</label>
          <Input id="q" type="search" autoFocus value={text} onChange={(e) => setText(e.target.value)} placeholder="A name, an address, a file, an id, a Message-ID, an error's code" />
        </div>
        <label>
          <span className="unseen">Kind</span>
          <select className="input" value={kind} onChange={(e) => set({ kind: e.target.value, page: "" })}>
            <option value="">Everything</option>
            {kinds.map(([k, words]) => <option key={k} value={k}>{words}</option>)}
          </select>
        </label>
      </div>
      {q.length < 2 ? (
        <Card>
          <Empty title="What is at hand?">
            A person's name or address, a file's name or SHA-256, the id of a distribution, copy or person, a mail's Message-ID, a trace id, an error's code. Exact hits come first, then newer ones.
          </Empty>
        </Card>
      ) : (
        <Loaded query={found} lines={6}>{(r) => <Hits r={r} q={q} />}</Loaded>
      )}
    </>
  );
}

function Hits({ r, q }: { r: Schemas["SearchResponse"]; q: string }) {
  const name = useNames();
  const hits = r.hits ?? [];
  return (
    <>
      <Fresh of={r.freshness} />
      <p className="unseen" role="status">{count(hits.length, "hit")}</p>
      {hits.length === 0 && (
        <Card>
          <Empty title={`Nothing is called “${q}”`}>
            Parts of names and addresses are found from their beginning. What is older than its production keeps, or in a production that you may not act in, is not found.
          </Empty>
        </Card>
      )}
      {kinds.map(([kind, words, states]) => {
        const of = hits.filter((h) => h.kind === kind);
        if (of.length === 0) return null;
        return (
          <Card key={kind} title={<>{words} <span className="faint number">{number(of.length)}</span></>} bare>
            <ul className="lines">
              {of.map((h) => (
                <li key={`${h.distribution} ${h.unit} ${h.name}`}>
                  <div className="head">
                    <Link href={hitPath(kind === "distribution" ? { ...h, unit: "" } : h)} className="title">{h.name || h.distribution}</Link>
                    {h.state && <State of={states} is={h.state} />}
                  </div>
                  <div className="asides faint">
                    {h.detail && h.detail !== h.name && <span>{h.detail}</span>}
                    {name(h.production) && <span>{name(h.production)}</span>}
                    <Time at={h.time} />
                    {h.code && <code>{h.code}</code>}
                  </div>
                </li>
              ))}
            </ul>
          </Card>
        );
      })}
      <Pages next={r.next_page_token} shown={hits.length} />
    </>
  );
}

const day = (of: string, end?: boolean) => (/^\d{4}-\d{2}-\d{2}$/.test(of) ? new Date(`${of}T${end ? "23:59:59" : "00:00:00"}`).toISOString() : undefined);

function Find() {
  const [param, set] = useParams();
  const names = useNames();
  const page = param("page");
  const query = {
    production: param("production"), states: param("state") ? param("state").split(",") : undefined, person: param("person"), file: param("file"), title: param("title"),
    error: param("error"), worker: param("worker"), definition: param("definition"), late: param("late") === "1" || undefined,
    created_after: day(param("after")), created_before: day(param("before"), true),
  };
  const found = useQuery({
    queryKey: ["find", query, page],
    queryFn: () => data(api.GET("/v1/distributions", { params: { query: { ...query, page_size: 50, page_token: page } } })),
    placeholderData: keepPreviousData,
    refetchInterval: every * 2,
  });
  const text = (name: string, label: string, hint: string) => <Typed key={name} name={name} label={label} hint={hint} />;
  const any = filters.some((f) => param(f));
  return (
    <>
      <Card>
        <div className="filters">
          <Field label="State">
            {(a) => (
              <select className="input" style={{ width: "100%" }} value={param("state")} onChange={(e) => set({ state: e.target.value, page: "", tab: "distributions" })} {...a}>
                <option value="">Any</option>
                <option value="accepted,running,paused">All that are open</option>
                <option value="failed,completed_with_failures">All that failed</option>
                {Object.entries(distributionStates).map(([s, w]) => <option key={s} value={s}>{w.text}</option>)}
              </select>
            )}
          </Field>
          {text("title", "Title", "a part of it")}
          {text("person", "Person", "a part of a name or address")}
          {text("file", "File", "a part of its name, or its SHA-256")}
          {text("error", "Error", "a code, or a part of the sentence")}
          {text("worker", "Worker", "that had a part in it")}
          {text("definition", "Definition", "its name")}
          <Field label="From">{(a) => <Input type="date" value={param("after")} onChange={(e) => set({ after: e.target.value, page: "", tab: "distributions" })} {...a} />}</Field>
          <Field label="Until">{(a) => <Input type="date" value={param("before")} onChange={(e) => set({ before: e.target.value, page: "", tab: "distributions" })} {...a} />}</Field>
          <label className="row" style={{ minHeight: "var(--control)" }}>
            <input type="checkbox" checked={param("late") === "1"} onChange={(e) => set({ late: e.target.checked ? "1" : "", page: "", tab: "distributions" })} />
            Past its time
          </label>
          {any && <Button look="quiet" onClick={() => set({ ...Object.fromEntries(filters.map((f) => [f, ""])), page: "", tab: "distributions" })}>Clear</Button>}
        </div>
      </Card>
      <Loaded query={found} lines={6}>
        {(r) => {
          const list = r.distributions ?? [];
          return (
            <>
              <Fresh of={r.freshness} />
              {list.length === 0 && !r.runs?.length ? (
                <Card><Empty title="No distribution is like that">Take a condition away; those that stand are joined by “and”.</Empty></Card>
              ) : (
                <Card bare>
                  <div className="scroll" tabIndex={0}>
                    <table className="table">
                      <thead><tr><th>Title</th><th>State</th><th style={{ width: "18%" }}>Copies</th><th>Production</th><th className="right">Late</th><th className="right">Sent</th></tr></thead>
                      <tbody>
                        {list.map((d) => (
                          <tr key={d.id}>
                            <td>
                              <Link href={to.distribution(d.production!, d.id!)} style={{ fontWeight: 550, color: "var(--ink)" }}>{d.title || d.files?.[0]?.name || d.id}</Link>
                              {d.error?.message && <div className="faint clamp">{d.error.message}</div>}
                            </td>
                            <td><State of={distributionStates} is={d.state} /></td>
                            <td style={{ minWidth: "8rem" }}>
                              <Bar label={`${d.items?.done ?? 0} of ${d.items?.total ?? 0} copies are sent`} parts={itemParts(d.items)} />
                              <div className="faint number">{number(d.items?.done ?? 0)} of {number(d.items?.total ?? 0)}{d.items?.failed ? `, ${number(d.items.failed)} failed` : ""}</div>
                            </td>
                            <td className="soft">{names(d.production)}</td>
                            <td className="right number soft" style={{ whiteSpace: "nowrap" }}>{seconds(d.late_by) > 0 ? span(seconds(d.late_by)) : "–"}</td>
                            <td className="right soft"><Time at={d.created_at} /></td>
                          </tr>
                        ))}
                        {r.runs?.map((run) => (
                          <tr key={`run ${run.id}`}>
                            <td><span style={{ fontWeight: 550 }}>{run.name}</span><div className="faint">{run.id}, done elsewhere{run.error?.message ? `: ${run.error.message}` : ""}</div></td>
                            <td><State of={distributionStates} is={run.state} /></td>
                            <td className="faint number">{number(Number(run.done ?? 0))} of {number(Number(run.total ?? 0))}</td>
                            <td className="soft">{names(run.production)}</td>
                            <td className="right faint">–</td>
                            <td className="right soft"><Time at={run.started_at} /></td>
                          </tr>
                        ))}
                      </tbody>
                    </table>
                  </div>
                </Card>
              )}
              <Pages next={r.next_page_token} shown={list.length + (r.runs?.length ?? 0)} />
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Typed(p: { name: string; label: string; hint: string }) {
  const [text, setText] = useTyped(p.name);
  return <Field label={p.label}>{(a) => <Input value={text} placeholder={p.hint} onChange={(e) => setText(e.target.value)} {...a} />}</Field>;
}
