import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { to } from "../routes";
import { Button, Card, Empty, Go, Loaded, Notice, PageHead, State, Tabs, Time, toast } from "../ui";
import { alertStates, capital, count, number, severities } from "../words";
import { AlertLine } from "./oncall/lines";
import { every, OfProduction, Pages, useNames, useParams } from "./oncall/parts";
import { onWords } from "./rules/write";
import "./oncall/oncall.css";

export default function Alerts({ id }: { id: string }) {
  return id ? <One key={id} id={id} /> : <All />;
}

/** useAcknowledge says that somebody has an alert, and has every list of alerts look again. */
function useAcknowledge() {
  const queries = useQueryClient();
  return async (id: string) => {
    try {
      await data(api.POST("/v1/alerts/{alert}:acknowledge", { params: { path: { alert: id } }, body: {} }));
      toast("good", "You have it: it is told to nobody else, and stays here until its cause is gone.");
    } catch (e) {
      toast("bad", (e as Error).message);
    }
    await Promise.all([queries.invalidateQueries({ queryKey: ["alerts"] }), queries.invalidateQueries({ queryKey: ["alert"] }), queries.invalidateQueries({ queryKey: ["overview"] })]);
  };
}

const tabs = [["open", "Open"], ["acknowledged", "Somebody has them"], ["resolved", "Over"], ["all", "All"]] as const;

function All() {
  const [param] = useParams();
  const acknowledge = useAcknowledge();
  const here = param("state") || "open";
  const [production, page] = [param("production"), param("page")];
  const list = useQuery({
    queryKey: ["alerts", here, production, page],
    queryFn: () => data(api.GET("/v1/alerts", { params: { query: { state: here === "all" ? "" : here, production, page_size: 50, page_token: page } } })),
    refetchInterval: every,
    placeholderData: keepPreviousData,
  });
  const kept = production ? `&production=${production}` : "";
  return (
    <>
      <PageHead title="Alerts" below="What rules found, the open ones first. Each is over by itself when its cause is gone." actions={<><OfProduction /><Go to={to.rules()}>Rules</Go></>} />
      <Tabs label="State" here={here} tabs={tabs.map(([id, text]) => ({ id, text, to: `${to.alerts()}?state=${id}${kept}` }))} />
      <Loaded query={list} lines={8}>
        {(r) => {
          const alerts = r.alerts ?? [];
          if (alerts.length === 0)
            return <Card><Empty title={{ open: "No alert is open", acknowledged: "Nobody has an alert in hand", resolved: "No alert is over" }[here] ?? "There was no alert yet"}>{here === "open" && "As far as the rules look, nothing is wrong that nobody has in hand."}</Empty></Card>;
          return (
            <>
              <Card bare>
                <ul className="lines">
                  {alerts.map((a) => <AlertLine key={a.id} a={a} acts={a.state === "open" && <Button size="small" onClick={() => void acknowledge(a.id!)}>I have it</Button>} />)}
                </ul>
              </Card>
              <Pages next={r.next_page_token} shown={alerts.length} />
            </>
          );
        }}
      </Loaded>
    </>
  );
}

/** find looks through the list for one alert: there is no reading of a single one. Open ones come first, so that it is found soon. */
async function find(id: string): Promise<Schemas["Alert"] | null> {
  let page_token = "";
  for (let n = 0; n < 20; n++) {
    const r = await data(api.GET("/v1/alerts", { params: { query: { page_size: 1000, page_token } } }));
    const found = r.alerts?.find((a) => a.id === id);
    if (found) return found;
    page_token = r.next_page_token ?? "";
    if (!page_token) break;
  }
  return null;
}

const actionWords: Record<string, string> = { slack: "Told a chat", webhook: "Called a webhook", mail: "Sent a mail", pause: "Paused what it is about", retry: "Retried what failed", start: "Started a definition" };

function One({ id }: { id: string }) {
  const acknowledge = useAcknowledge();
  const name = useNames();
  const alert = useQuery({ queryKey: ["alert", id], queryFn: () => find(id), refetchInterval: (q) => (q.state.data?.state === "resolved" ? 60_000 : every) });
  const rules = useQuery({ queryKey: ["rules"], queryFn: () => data(api.GET("/v1/rules")) });
  return (
    <Loaded query={alert} lines={6}>
      {(a) => {
        if (!a) return <Empty title="There is no such alert" action={<Go to={to.alerts()}>All alerts</Go>}>Alerts that have been over for long are kept no longer.</Empty>;
        const rule = rules.data?.rules?.find((r) => r.name === a.rule);
        const way = subject(rule?.on, a);
        return (
          <>
            <PageHead
              title={a.title || a.rule || "Alert"}
              above={<Link href={to.alerts()}>Alerts</Link>}
              beside={<><State of={severities} is={a.severity} /><State of={alertStates} is={a.state} /></>}
              actions={a.state === "open" && <Button look="main" onClick={() => void acknowledge(id)}>I have it</Button>}
            />
            <section className="answer" data-tone={a.state === "resolved" ? "good" : a.severity === "page" ? "bad" : "wait"} aria-label="What is wrong">
              <p className="sentence" data-long={(a.sentence?.length ?? 0) > 110 || undefined}>{capital(a.sentence)}</p>
              <div className="asides">
                <span>Since <Time at={a.since} /></span>
                {a.state === "resolved" && <span>Over <Time at={a.resolved_at} /></span>}
                {a.production && <span>{name(a.production)}</span>}
                {(a.count ?? 0) > 1 && <span>{count(a.count!, "finding")} alike</span>}
              </div>
              {way && <div className="row"><Go to={way[0]} look="main">{way[1]}</Go></div>}
            </section>
            {a.acknowledged_by && a.state !== "resolved" && <Notice tone="wait">{a.acknowledged_by} has it. It stays open until its cause is gone.</Notice>}
            <Card title="What was done about it by itself" bare>
              {a.done?.length ? (
                <ol className="times">
                  {a.done.map((d, i) => (
                    <li key={i}>
                      <div>{actionWords[d.action ?? ""] ?? d.action}{d.error ? `: it did not work, ${d.error}` : ""}</div>
                      <div className="asides faint"><Time at={d.time} />{(d.tries ?? 0) > 1 && <span>tried {number(d.tries!)} times</span>}</div>
                    </li>
                  ))}
                </ol>
              ) : (
                <p className="calm">Nothing: the rule has no action that was due. {rule && !rule.actions?.length && "It tells nobody by itself; actions are added in its source."}</p>
              )}
            </Card>
            <Card title="Where it comes from">
              <dl className="facts">
                <div><dt>Rule</dt><dd><Link href={`${to.rules()}?rule=${a.rule}`}>{a.rule}</Link></dd></div>
                <div><dt>It is about</dt><dd style={{ overflowWrap: "anywhere" }}>{way ? <Link href={way[0]}>{a.subject}</Link> : a.subject || "–"}</dd></div>
                <div><dt>Last found</dt><dd><Time at={a.last_at} /></dd></div>
                <div><dt>Id</dt><dd><code>{a.id}</code></dd></div>
              </dl>
              {rule?.when && <p style={{ marginTop: "var(--space-4)" }} className="soft">It is trouble when, of {onWords[rule.on as keyof typeof onWords] ?? rule.on}, <code>{rule.when}</code>{rule.for ? ` for ${rule.for}` : ""}.</p>}
            </Card>
          </>
        );
      }}
    </Loaded>
  );
}

/** subject is where what an alert is about is looked at, by what its rule looks at. */
function subject(on: string | undefined, a: Schemas["Alert"]): [string, string] | null {
  const s = a.subject ?? "";
  switch (on) {
    case "failures":
      return [`${to.failures()}?group=${s}`, "See whom it hurts"];
    case "distribution":
      return a.production && s ? [to.distribution(a.production, s), "See the distribution"] : null;
    case "function":
      return [to.queues(), "See the queue"];
    case "limit":
      return [`${to.queues()}?tab=limits`, "See the limit"];
    case "resource":
      return [`${to.queues()}?tab=resources`, "See the resource"];
    case "worker":
      return [to.workers(), "See the worker"];
    default:
      return null;
  }
}
