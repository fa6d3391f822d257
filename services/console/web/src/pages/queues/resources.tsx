import { useQuery } from "@tanstack/react-query";
import { api, data, type Schemas } from "../../api/client";
import { useProduction } from "../../shell";
import { Button, Card, Loaded, State, Time } from "../../ui";
import { breakerStates, capital, count, number } from "../../words";
import { useAsk } from "../oncall/ask";
import { every, useNames, useParams } from "../oncall/parts";
import { lets, type Scope } from "./limits";

export const listResources = async (scope: Scope) =>
  (await (scope ? data(api.GET("/v1/productions/{production}/resources", { params: { path: { production: scope } } })) : data(api.GET("/v1/studio/resources")))).resources ?? [];

/** Resources are accounts, relays and machines that steps share: whether each is well, and why not. */
export function Resources() {
  const [param] = useParams();
  const last = useProduction();
  const production = param("production") || last;
  const name = useNames();
  return (
    <>
      <ResourceList scope={undefined} title="Of the studio: all productions share them" />
      {production && <ResourceList key={production} scope={production} title={`Of ${name(production)}`} />}
    </>
  );
}

export function ResourceList({ scope, title }: { scope: Scope; title: string }) {
  const list = useQuery({ queryKey: ["resources", scope ?? ""], queryFn: () => listResources(scope), refetchInterval: every });
  const [ask, asked] = useAsk();
  return (
    <Card title={title} bare>
      <div style={{ padding: list.data ? 0 : "var(--space-4)" }}>
        <Loaded query={list} lines={2}>
          {(resources) =>
            resources.length === 0 ? (
              <p className="calm">There is none: no account, relay or machine that steps share.</p>
            ) : (
              <ul className="lines">
                {resources.map((r) => (
                  <Line
                    key={r.limit?.name}
                    r={r}
                    reset={() =>
                      ask({
                        title: `Use ${r.limit?.name} again?`,
                        says: (
                          <p>
                            Steps begin to use it at once{r.limit?.waiting ? `: ${count(r.limit.waiting, "waits", "wait")} for it` : ""}. {r.last_message ? `It failed last with: ${r.last_message}. ` : ""}
                            If it fails again {number(r.breaker_failures || 5)} times in a row, it is left alone again.
                          </p>
                        ),
                        yes: "Use it again",
                        act: () =>
                          scope
                            ? data(api.POST("/v1/productions/{production}/resources/{name}:reset", { params: { path: { production: scope, name: r.limit!.name! } }, body: {} }))
                            : data(api.POST("/v1/studio/resources/{name}:reset", { params: { path: { name: r.limit!.name! } }, body: {} })),
                        done: `${r.limit?.name} is used again.`,
                        stale: ["resources", "top"],
                      })
                    }
                    remove={() =>
                      ask({
                        title: `Remove ${r.limit?.name}?`,
                        says: <p>Steps that name it find none and fail{r.limit?.taken ? `; ${count(r.limit.taken, "step uses", "steps use")} it now` : ""}{r.limit?.waiting ? `; ${count(r.limit.waiting, "waits", "wait")} for it` : ""}. {r.destroy ? "What was made for it is ended." : ""} Its credential stays.</p>,
                        yes: "Remove it",
                        look: "bad",
                        act: () =>
                          scope
                            ? data(api.DELETE("/v1/productions/{production}/resources/{name}", { params: { path: { production: scope, name: r.limit!.name! } } }))
                            : data(api.DELETE("/v1/studio/resources/{name}", { params: { path: { name: r.limit!.name! } } })),
                        done: `${r.limit?.name} is gone.`,
                        stale: ["resources", "top"],
                      })
                    }
                  />
                ))}
              </ul>
            )
          }
        </Loaded>
      </div>
      {asked}
    </Card>
  );
}

const lifeWords: Record<string, string> = { absent: "made when it is first used", creating: "being made", ready: "ready", destroying: "being ended", failed: "could not be made" };

function Line({ r, reset, remove }: { r: Schemas["Resource"]; reset: () => void; remove: () => void }) {
  const open = (r.breaker && r.breaker !== "closed") || r.state === "failed";
  return (
    <li>
      <div className="head">
        <span className="title"><code>{r.limit?.name}</code> <span className="faint">{r.kind}</span></span>
        <State of={breakerStates} is={r.breaker || "closed"} />
      </div>
      {(open || r.blocked_until) && (
        <p className="words">
          {r.last_message ? capital(r.last_message) : "It failed again and again."} {r.last_code && <code>{r.last_code}</code>}{" "}
          {r.blocked_until && <>Nothing of it starts before <Time at={r.blocked_until} />.</>}
        </p>
      )}
      {r.detail && <p className="words">{capital(r.detail)}</p>}
      <div className="asides faint">
        {r.state && <span>{lifeWords[r.state] ?? r.state}</span>}
        {r.limit && <span>lets {lets(r.limit)} through</span>}
        <span className="number">{number(r.limit?.taken ?? 0)} in use, {number(r.limit?.waiting ?? 0)} waiting</span>
        {r.checked_at && <span>checked <Time at={r.checked_at} /></span>}
        {r.credential && <span>credential {r.credential}</span>}
      </div>
      <div className="acts">
        {open && <Button size="small" onClick={reset}>Use it again…</Button>}
        <Button size="small" look="quiet" onClick={remove}>Remove…</Button>
      </div>
    </li>
  );
}
