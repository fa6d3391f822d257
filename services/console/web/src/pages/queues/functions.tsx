import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, data, type Schemas } from "../../api/client";
import { useProductions } from "../../app";
import { to } from "../../routes";
import { Ask, Badge, Button, Card, Empty, Field, Loaded, toast } from "../../ui";
import { count, number, seconds, span } from "../../words";
import { useAsk } from "../oncall/ask";
import { every, Fresh, useNames } from "../oncall/parts";

export const useTop = () => useQuery({ queryKey: ["top"], queryFn: () => data(api.GET("/v1/top")), refetchInterval: every, placeholderData: keepPreviousData });
export const usePauses = () => useQuery({ queryKey: ["pauses"], queryFn: () => data(api.GET("/v1/pauses")), refetchInterval: every });

/** Functions lists each function's queue, and pauses and resumes it. */
export function Functions() {
  const top = useTop();
  const pauses = usePauses();
  const name = useNames();
  const [ask, asked] = useAsk();
  const [pausing, setPausing] = useState<Schemas["TopFunction"]>();
  const resume = (fn: string, production: string, ready: number) =>
    ask({
      title: `Resume ${fn}?`,
      says: <p>{production ? `In ${name(production)}, steps` : "Steps"} of <code>{fn}</code> begin again at once{ready ? `: ${count(ready, "is ready", "are ready")}` : ""}.</p>,
      yes: "Resume",
      act: () => data(api.POST("/v1/functions/{function}:resume", { params: { path: { function: fn } }, body: { production } })),
      done: `${fn} goes on.`,
      stale: ["pauses", "top"],
    });
  return (
    <>
      <Loaded query={top} lines={8}>
        {(t) => {
          const functions = t.functions ?? [];
          if (functions.length === 0) return <Card><Empty title="There is no queue yet">A function is here once a worker serves it or a step waits for it.</Empty></Card>;
          return (
            <>
              <Fresh of={t.freshness} />
              <Card bare>
                <div className="scroll" tabIndex={0}>
                  <table className="table">
                    <thead><tr><th>Function</th><th>State</th><th className="right">Ready</th><th className="right">At a limit</th><th className="right">Running</th><th className="right">Oldest</th><th className="right">Workers</th><th /></tr></thead>
                    <tbody>
                      {functions.map((f) => {
                        const mine = pauses.data?.pauses?.filter((p) => p.function === f.function) ?? [];
                        const everywhere = f.paused || mine.some((p) => !p.production);
                        return (
                          <tr key={f.function}>
                            <td style={{ fontWeight: 550 }}><code>{f.function}</code></td>
                            <td>
                              {everywhere ? <Badge tone="wait">Paused</Badge> : !f.workers && f.ready ? <Badge tone="bad">Nobody serves it</Badge> : f.running || f.ready ? <Badge tone="busy">Moving</Badge> : <Badge tone="off">Idle</Badge>}
                              {mine.filter((p) => p.production).map((p) => (
                                <div key={p.production} className="row faint">
                                  paused in {name(p.production)}
                                  <button type="button" className="link" onClick={() => resume(f.function!, p.production!, 0)}>Resume</button>
                                </div>
                              ))}
                            </td>
                            <td className="right number">{number(f.ready ?? 0)}</td>
                            <td className="right number">{f.at_limit ? <Link href={`${to.queues()}?tab=limits`}>{number(f.at_limit)}</Link> : 0}</td>
                            <td className="right number">{number(f.running ?? 0)}</td>
                            <td className="right number soft" style={{ whiteSpace: "nowrap" }}>{f.oldest ? span(seconds(f.oldest)) : "–"}</td>
                            <td className="right number"><Link href={`${to.workers()}?function=${f.function}`}>{number(f.workers ?? 0)}</Link></td>
                            <td>
                              <div className="acts">
                                {everywhere ? <Button size="small" onClick={() => resume(f.function!, "", f.ready ?? 0)}>Resume</Button> : <Button size="small" look="quiet" onClick={() => setPausing(f)}>Pause…</Button>}
                              </div>
                            </td>
                          </tr>
                        );
                      })}
                    </tbody>
                  </table>
                </div>
              </Card>
            </>
          );
        }}
      </Loaded>
      {pausing && <Pause f={pausing} onClose={() => (setPausing(undefined), void pauses.refetch(), void top.refetch())} />}
      {asked}
    </>
  );
}

function Pause({ f, onClose }: { f: Schemas["TopFunction"]; onClose: () => void }) {
  const productions = useProductions();
  const [production, setProduction] = useState("");
  const name = useNames();
  const act = async () => {
    await data(api.POST("/v1/functions/{function}:pause", { params: { path: { function: f.function! } }, body: { production } }));
    toast("good", `${f.function} is paused${production ? ` in ${name(production)}` : ""}.`);
  };
  return (
    <Ask title={`Pause ${f.function}?`} open onClose={onClose} yes="Pause" look="bad" act={act}>
      <Field label="Where">
        {(a) => (
          <select className="input" value={production} onChange={(e) => setProduction(e.target.value)} {...a}>
            <option value="">In all productions</option>
            {productions.data?.map((p) => <option key={p.id} value={p.id}>Only in {p.name || p.id}</option>)}
          </select>
        )}
      </Field>
      <p>
        No step of <code>{f.function}</code> begins {production ? `in ${name(production)}` : "in any production"} until somebody resumes it.{" "}
        {f.running ? `${count(f.running, "step that runs comes to its end", "steps that run come to their end")}. ` : ""}
        {(f.ready ?? 0) + (f.at_limit ?? 0) > 0 ? `${count((f.ready ?? 0) + (f.at_limit ?? 0), "step waits", "steps wait")} now${production ? ", in all productions together" : ""}; nothing is lost.` : "None waits now; what comes waits, and nothing is lost."}
      </p>
    </Ask>
  );
}
