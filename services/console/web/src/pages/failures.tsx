import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { hitPath } from "../palette";
import { to } from "../routes";
import { Button, Card, Empty, Go, Loaded, PageHead, Time } from "../ui";
import { capital, count, number } from "../words";
import { RetryGroup } from "./oncall/retry";
import { GroupLine } from "./oncall/lines";
import { every, Fresh, hurts, OfProduction, Pages, useNames, useParams } from "./oncall/parts";
import "./oncall/oncall.css";

/** Failures shows what fails alike as one, the most harm first, and acts on all whom it hurts. */
export default function Failures() {
  const [param, set] = useParams();
  const [production, code, group, page] = [param("production"), param("code"), param("group"), param("page")];
  const over = param("over") === "1";
  const list = useQuery({
    queryKey: ["failures", production, over || !!group, page],
    queryFn: () => data(api.GET("/v1/failures", { params: { query: { production, resolved: over || !!group || undefined, page_size: group ? 1000 : 50, page_token: group ? "" : page } } })),
    refetchInterval: every,
    placeholderData: keepPreviousData,
  });
  const [retry, setRetry] = useState<Schemas["FailureGroup"]>();
  const queries = useQueryClient();
  return (
    <>
      <PageHead
        title="Failures"
        above={group && <Link href={to.failures()}>All failures</Link>}
        below={!group && "What fails alike is one group, whatever names and numbers differ. The most harm comes first."}
        actions={!group && (
          <>
            <label className="row"><input type="checkbox" checked={over} onChange={(e) => set({ over: e.target.checked ? "1" : "", page: "" })} /> Also what is over</label>
            <OfProduction />
          </>
        )}
      />
      <Loaded query={list} lines={8}>
        {(r) => {
          const all = r.groups ?? [];
          if (group) {
            const g = all.find((x) => x.fingerprint === group);
            return (
              <>
                <Fresh of={r.freshness} />
                {g ? <One g={g} retry={() => setRetry(g)} /> : <Card><Empty title="There is no such group any more" action={<Go to={to.failures()}>All failures</Go>}>What was retried and done, and what its production keeps no longer, goes from here.</Empty></Card>}
              </>
            );
          }
          const groups = code ? all.filter((g) => g.code === code) : all;
          return (
            <>
              <Fresh of={r.freshness} />
              {code && <p className="row">Only <code>{code}</code> <Button size="small" onClick={() => set({ code: "" })}>Show all</Button></p>}
              {groups.length === 0 ? (
                <Card><Empty title={over ? "Nothing has failed" : "Nothing fails"}>{!over && "What is tried again by itself and comes right needs nobody, and is not listed."}</Empty></Card>
              ) : (
                <Card bare>
                  <ul className="lines">
                    {groups.map((g) => (
                      <GroupLine
                        key={g.fingerprint}
                        g={g}
                        acts={
                          <>
                            {!!g.open && <Button size="small" onClick={() => setRetry(g)}>Retry for {g.recipients ? count(g.recipients, "person", "people") : "all"}</Button>}
                            <Go to={`${to.failures()}?group=${g.fingerprint}`} size="small" look="quiet">See whom it hurts</Go>
                          </>
                        }
                      />
                    ))}
                  </ul>
                </Card>
              )}
              <Pages next={r.next_page_token} shown={groups.length} />
            </>
          );
        }}
      </Loaded>
      {retry && <RetryGroup g={retry} onClose={() => (setRetry(undefined), void queries.invalidateQueries({ queryKey: ["failures"] }))} />}
    </>
  );
}

function One({ g, retry }: { g: Schemas["FailureGroup"]; retry: () => void }) {
  const name = useNames();
  const hurt = g.hurt ?? [];
  const more = Math.max(0, (g.recipients ?? 0) - hurt.filter((h) => h.kind === "recipient").length);
  return (
    <>
      <section className="answer" data-tone={g.open ? "bad" : "good"} aria-label="What fails">
        <p className="sentence" data-long={(g.example?.length ?? 0) > 90 || undefined}>{capital(g.signature || g.example)}</p>
        <p className="remedy">{g.summary}</p>
        <div className="asides">
          <span>{g.open ? `${count(g.open, "failure")} open of ${number(g.count ?? 0)}` : `All ${count(g.count ?? 0, "failure")} are over`}</span>
          {hurts(g) && <span>Hurts {hurts(g)}</span>}
          <span>Since <Time at={g.first_at} /></span>
          <span>Last <Time at={g.last_at} /></span>
        </div>
        <div className="row">
          {!!g.open && <Button look="main" onClick={retry}>Retry for {g.recipients ? count(g.recipients, "person", "people") : "all"}</Button>}
          <Go to={`${to.search()}?tab=distributions&error=${encodeURIComponent(g.code ?? "")}`}>Distributions with this code</Go>
        </div>
      </section>
      <Card title={`Whom it hurts${more && hurt.length ? ", some of them" : ""}`} bare>
        {hurt.length === 0 ? (
          <p className="calm">Nobody any more.</p>
        ) : (
          <div className="scroll" tabIndex={0}>
            <table className="table">
              <thead><tr><th>Who or what</th><th>Production</th><th>Code</th><th className="right">When</th></tr></thead>
              <tbody>
                {hurt.map((h) => (
                  <tr key={`${h.distribution} ${h.unit}`}>
                    <td>
                      <Link href={hitPath(h)} style={{ fontWeight: 550, color: "var(--ink)" }}>{h.name || h.unit}</Link> <span className="faint">{h.detail}</span>
                    </td>
                    <td className="soft">{name(h.production)}</td>
                    <td><code>{h.code}</code></td>
                    <td className="right soft"><Time at={h.time} /></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Card>
      <Card title="What it is">
        <dl className="facts">
          <div><dt>Step</dt><dd>{g.step}</dd></div>
          <div><dt>Function</dt><dd><code>{g.function}</code></dd></div>
          <div><dt>Code</dt><dd><code>{g.code}</code></dd></div>
          <div><dt>Tried again by itself</dt><dd>{g.retryable ? "Yes" : "No: the same would fail again"}</dd></div>
          <div><dt>In the terminal</dt><dd><code>filigree failures {g.fingerprint}</code></dd></div>
        </dl>
        {g.example && g.example !== g.signature && <p className="soft" style={{ marginTop: "var(--space-4)" }}>One as it was: <q>{g.example}</q></p>}
      </Card>
    </>
  );
}
