import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, data, type Schemas } from "../../api/client";
import { useProductions } from "../../app";
import { useSession } from "../../api/session";
import { Bar, Button, Card, Empty, Field, Input, Loaded } from "../../ui";
import { count } from "../../words";
import { useAsk, type Question } from "../oncall/ask";

/** Rollouts says which versions new distributions take, production by production. */
export function Rollouts({ name, versions }: { name: string; versions: Schemas["Definition"][] }) {
  const productions = useProductions();
  return (
    <Card title="Which version new distributions take" bare>
      <Loaded query={productions}>
        {(list) => list.length === 0 ? <Empty title="No production yet" /> : <ul className="lines">{list.map((p) => <Line key={p.id} p={p} name={name} versions={versions} />)}</ul>}
      </Loaded>
    </Card>
  );
}

const tones = ["busy", "good", "bad", "off", "wait"] as const;
const said = (shares: Schemas["Share"][]) => shares.map((s) => `${s.percent} % version ${s.version}`).join(", ");

function Line({ p, name, versions }: { p: Schemas["Production"]; name: string; versions: Schemas["Definition"][] }) {
  const session = useSession();
  const [editing, setEditing] = useState(false);
  const [ask, asked] = useAsk();
  const rollouts = useQuery({ queryKey: ["rollouts", p.id], queryFn: async () => (await data(api.GET("/v1/productions/{production}/rollouts", { params: { path: { production: p.id! } } }))).rollouts ?? [] });
  const shares = rollouts.data?.find((r) => r.name === name)?.shares ?? [];
  const newest = versions[0]?.version;
  const set = (next: Schemas["Share"][]): Question => ({
    title: `Change what ${p.name || p.id} takes?`,
    says: (
      <p>
        New distributions of {p.name || p.id} take {next.length ? said(next) : `the newest version, now ${newest}`}, instead of {shares.length ? said(shares) : `the newest, now ${newest}`}. Those that have started keep theirs.
        {next.length > 0 && " A version stored later is not taken until this is changed."}
      </p>
    ),
    yes: "Change it",
    act: async () => {
      await data(api.PUT("/v1/productions/{production}/rollouts/{name}", { params: { path: { production: p.id!, name } }, body: { shares: next } }));
      setEditing(false);
    },
    done: "It holds for new distributions.",
    stale: ["rollouts"],
  });
  return (
    <li>
      <div className="head">
        <span className="title">{p.name || p.id}</span>
        <span className="soft number">{rollouts.data ? (shares.length ? said(shares) : `the newest: version ${newest ?? "–"}`) : rollouts.error ? rollouts.error.message : "…"}</span>
      </div>
      {shares.length > 1 && <Bar label={said(shares)} parts={shares.map((s, i) => [tones[i % tones.length]!, s.percent ?? 0])} />}
      {session.role === "admin" && rollouts.data && (editing ? (
        <Edit versions={versions} shares={shares} onSave={(s) => ask(set(s))} onClose={() => setEditing(false)} />
      ) : (
        <div className="acts">
          <Button size="small" onClick={() => setEditing(true)}>Change</Button>
          {shares.length > 0 && <Button size="small" look="quiet" onClick={() => ask(set([]))}>Back to the newest…</Button>}
        </div>
      ))}
      {asked}
    </li>
  );
}

function Edit({ versions, shares, onSave, onClose }: { versions: Schemas["Definition"][]; shares: Schemas["Share"][]; onSave: (s: Schemas["Share"][]) => void; onClose: () => void }) {
  const some = versions.slice(0, 10);
  const [texts, setTexts] = useState<Record<number, string>>(() =>
    Object.fromEntries(some.map((d, i) => [d.version!, String(shares.find((s) => s.version === d.version)?.percent ?? (shares.length === 0 && i === 0 ? 100 : 0))])),
  );
  const numbers = some.map((d) => ({ version: d.version!, percent: /^\d{1,3}$/.test(texts[d.version!] ?? "") ? Number(texts[d.version!]) : texts[d.version!] === "" ? 0 : NaN }));
  const sum = numbers.reduce((n, s) => n + s.percent, 0);
  const fine = sum === 100;
  return (
    <form className="cells" style={{ marginTop: "var(--space-2)" }} onSubmit={(e) => (e.preventDefault(), fine && onSave(numbers.filter((s) => s.percent > 0)))}>
      {some.map((d, i) => (
        <Field key={d.version} label={`Version ${d.version}, %`} wrong={Number.isNaN(numbers[i]!.percent) ? "A whole number" : undefined}>
          {(a) => <Input inputMode="numeric" autoFocus={i === 0} value={texts[d.version!]} onChange={(e) => setTexts({ ...texts, [d.version!]: e.target.value })} {...a} />}
        </Field>
      ))}
      <Button type="submit" look="main" disabled={!fine}>Save…</Button>
      <Button onClick={onClose}>Leave it</Button>
      <p className={fine ? "faint number" : "number"} style={{ flexBasis: "100%", color: fine ? undefined : "var(--bad)" }} role="status">
        {fine ? `Together 100 % over ${count(numbers.filter((s) => s.percent > 0).length, "version")}.` : `Together ${Number.isNaN(sum) ? "–" : sum} %: they must add up to 100.`}
      </p>
    </form>
  );
}
