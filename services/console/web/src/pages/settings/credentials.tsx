import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, ApiError, data } from "../../api/client";
import { useSession } from "../../api/session";
import { Area, Button, Card, Empty, Field, Input, Loaded, Notice, Time } from "../../ui";
import { useAsk } from "../oncall/ask";
import { listResources } from "../queues/resources";

/** Credentials are sealed: their names are seen, their secrets never again. */
export function Credentials({ production }: { production: string }) {
  const session = useSession();
  const admin = session.role === "admin";
  const [ask, asked] = useAsk();
  const [editing, setEditing] = useState<string>();
  const list = useQuery({ queryKey: ["credentials", production], queryFn: async () => (await data(api.GET("/v1/productions/{production}/credentials", { params: { path: { production } } }))).credentials ?? [] });
  const resources = useQuery({ queryKey: ["resources", production], queryFn: () => listResources(production) });
  const hooks = useQuery({ queryKey: ["hooks", production], queryFn: async () => (await data(api.GET("/v1/productions/{production}/hooks", { params: { path: { production } } }))).hooks ?? [] });
  // A hook's signing secret is kept under its name.
  const users = (name: string) => [
    ...(resources.data?.filter((r) => r.credential === name).map((r) => r.limit?.name) ?? []),
    ...(hooks.data?.filter((h) => name === `hook-${h.name}`).map((h) => `the hook ${h.name}`) ?? []),
  ];
  const remove = (name: string) =>
    ask({
      title: `Delete the credential ${name}?`,
      says: <p>{users(name).length ? <><strong>It is used by {users(name).join(", ")}.</strong> What needs it fails from now on.</> : "Nothing of this production names it."} The secret cannot be brought back.</p>,
      yes: "Delete it",
      look: "bad",
      act: () => data(api.DELETE("/v1/productions/{production}/credentials/{name}", { params: { path: { production, name } } })),
      done: `${name} is deleted.`,
      stale: ["credentials"],
    });
  const put = (name: string, secret: string, replaces: boolean) =>
    ask({
      title: replaces ? `Replace the secret of ${name}?` : `Keep the credential ${name}?`,
      says: <p>{replaces ? `The secret from before is gone${users(name).length ? `, and ${users(name).join(", ")} ${users(name).length === 1 ? "uses" : "use"} the new one from the next step on` : ""}.` : "It is sealed and used by resources that name it."} Nobody is shown it again.</p>,
      yes: replaces ? "Replace it" : "Keep it",
      act: async () => {
        await data(api.PUT("/v1/productions/{production}/credentials/{name}", { params: { path: { production, name } }, body: { secret } }));
        setEditing(undefined);
      },
      done: `${name} is sealed.`,
      stale: ["credentials"],
    });
  const denied = list.error instanceof ApiError && list.error.status === 403;
  if (denied) return <Notice tone="off">Only those on call and administrators see which credentials there are.</Notice>;
  return (
    <Card title="Credentials" actions={admin && <Button size="small" onClick={() => setEditing("")}>New credential</Button>} bare>
      <div style={{ padding: list.data ? 0 : "var(--space-4)" }}>
        <Loaded query={list} lines={3}>
          {(all) => (
            <ul className="lines">
              {editing === "" && <li><Edit taken={all.map((c) => c.name!)} onSave={(n, s) => put(n, s, all.some((c) => c.name === n))} onClose={() => setEditing(undefined)} /></li>}
              {all.length === 0 && editing !== "" && <Empty title="No credential is kept">Resources name one where they need a password or key of somebody else's service.</Empty>}
              {all.map((c) => (
                <li key={c.name}>
                  <div className="head"><span className="title"><code>{c.name}</code></span></div>
                  <div className="asides faint"><span>changed <Time at={c.changed_at} /></span><span>by {c.changed_by}</span><span>{users(c.name!).length ? `used by ${users(c.name!).join(", ")}` : "used by nothing of this production"}</span></div>
                  {editing === c.name ? <Edit name={c.name} taken={[]} onSave={(n, s) => put(n, s, true)} onClose={() => setEditing(undefined)} /> : admin && (
                    <div className="acts">
                      <Button size="small" onClick={() => setEditing(c.name)}>Replace the secret</Button>
                      <Button size="small" look="quiet" onClick={() => remove(c.name!)}>Delete…</Button>
                    </div>
                  )}
                </li>
              ))}
            </ul>
          )}
        </Loaded>
      </div>
      {asked}
    </Card>
  );
}

function Edit({ name: of, taken, onSave, onClose }: { name?: string; taken: string[]; onSave: (name: string, secret: string) => void; onClose: () => void }) {
  const [name, setName] = useState(of ?? "");
  const [secret, setSecret] = useState("");
  const wrong = name && !/^[a-z0-9][a-z0-9-]{0,62}$/.test(name) ? "Lower-case letters, digits and dashes, at most 63" : taken.includes(name) ? "There is one of that name: its secret would be replaced" : undefined;
  const long = new TextEncoder().encode(secret).length > 16384;
  return (
    <form
      className="stack"
      style={{ maxWidth: "36rem", gap: "var(--space-3)" }}
      autoComplete="off"
      onSubmit={(e) => {
        e.preventDefault();
        if (name && secret && !long && !/[^a-z0-9-]/.test(name)) onSave(name, secret);
      }}
    >
      {!of && <Field label="Name" wrong={wrong}>{(a) => <Input value={name} autoFocus onChange={(e) => setName(e.target.value)} placeholder="drive-account" {...a} />}</Field>}
      <Field label="Secret" hint="A password, a key, or a file's text; at most 16 KiB. It is sealed and never shown again." wrong={long ? "It has more than 16 KiB" : undefined}>
        {(a) => <Area rows={3} spellCheck={false} autoComplete="off" autoFocus={!!of} value={secret} onChange={(e) => setSecret(e.target.value)} style={{ WebkitTextSecurity: "disc" } as React.CSSProperties} {...a} />}
      </Field>
      <div className="row"><Button type="submit" look="main" disabled={!name || !secret || long}>Seal it…</Button><Button onClick={onClose}>Leave it</Button></div>
    </form>
  );
}
