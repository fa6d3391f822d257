import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, data, type Schemas } from "../../api/client";
import { maySend, useSession } from "../../api/session";
import { to } from "../../routes";
import { Button, Card, Copy, Dialog, Empty, Loaded, Notice, Time } from "../../ui";
import { useAsk } from "../oncall/ask";
import { every } from "../oncall/parts";
import { what } from "./schedules";

/** Hooks are addresses that other systems call to start a distribution. */
export function Hooks({ production }: { production: string }) {
  const session = useSession();
  const may = maySend(session);
  const [ask, asked] = useAsk();
  const [secret, setSecret] = useState<string>();
  const list = useQuery({ queryKey: ["hooks", production], queryFn: async () => (await data(api.GET("/v1/productions/{production}/hooks", { params: { path: { production } } }))).hooks ?? [], refetchInterval: every * 2 });
  const rotate = (h: Schemas["Hook"]) =>
    ask({
      title: `A new secret for ${h.name}?`,
      says: <p>Calls signed with the secret from before work for a day longer; until then whoever calls must have the new one. It is shown once.</p>,
      yes: "Make it",
      act: async () => {
        const r = await data(api.PUT("/v1/productions/{production}/hooks/{name}", { params: { path: { production, name: h.name! } }, body: { hook: { name: h.name, start: h.start }, rotate: true } }));
        setSecret(r.secret);
      },
      stale: ["hooks"],
    });
  const remove = (h: Schemas["Hook"]) =>
    ask({
      title: `Delete ${h.name}?`,
      says: <p>Calls to it are refused from now on{h.last_at ? <>; it was called last <Time at={h.last_at} /></> : "; it was never called"}. What it has started goes on and stays.</p>,
      yes: "Delete it",
      look: "bad",
      act: () => data(api.DELETE("/v1/productions/{production}/hooks/{name}", { params: { path: { production, name: h.name! } } })),
      done: `${h.name} is deleted.`,
      stale: ["hooks"],
    });
  return (
    <Card title="Hooks" bare>
      <div style={{ padding: list.data ? 0 : "var(--space-4)" }}>
        <Loaded query={list} lines={3}>
          {(all) =>
            all.length === 0 ? (
              <Empty title="No other system starts anything">A hook is an address that another system calls, signed, to start a distribution. It is made by the API: <code>PUT /v1/productions/{production}/hooks/…</code></Empty>
            ) : (
              <ul className="lines">
                {all.map((h) => (
                  <li key={h.name}>
                    <div className="head"><span className="title">{h.name}</span></div>
                    <p className="words">{what(h.start)}</p>
                    <div className="asides faint">
                      <span>called last {h.last_at ? h.last_distribution ? <Link href={to.distribution(production, h.last_distribution)}><Time at={h.last_at} /></Link> : <Time at={h.last_at} /> : "never"}</span>
                      <span><code>{h.path}</code> <Copy text={location.origin + (h.path ?? "")} name={`the address of ${h.name}`} /></span>
                    </div>
                    {may && <div className="acts"><Button size="small" onClick={() => rotate(h)}>New secret…</Button><Button size="small" look="quiet" onClick={() => remove(h)}>Delete…</Button></div>}
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </div>
      {asked}
      <Dialog title="The new secret" open={!!secret} onClose={() => setSecret(undefined)}>
        <Notice tone="wait">It is shown this once, and kept nowhere in sight. Give it to whoever calls.</Notice>
        <div className="row"><code style={{ overflowWrap: "anywhere" }}>{secret}</code> <Copy text={secret ?? ""} name="the secret" /></div>
        <footer><Button look="main" onClick={() => setSecret(undefined)}>I have it</Button></footer>
      </Dialog>
    </Card>
  );
}
