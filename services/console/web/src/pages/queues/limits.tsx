import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, data, type Schemas } from "../../api/client";
import { Badge, Bar, Button, Card, Field, Input, Loaded } from "../../ui";
import { count, number } from "../../words";
import { useAsk, type Question } from "../oncall/ask";
import { every, useNames, useParams } from "../oncall/parts";
import { useProduction } from "../../shell";

type Limit = Schemas["Limit"];

/** Where limits are: of a production, or of the studio, which all productions share. */
export type Scope = string | undefined;

/** Limits of the studio and of one production, edited where they stand; or those of one production only. */
export function Limits({ only }: { only?: string }) {
  const [param] = useParams();
  const last = useProduction();
  const production = only || param("production") || last;
  const name = useNames();
  if (only) return <Of scope={only} title="Limits: how much of it goes on at once" />;
  return (
    <>
      <Of scope={undefined} title="Of the studio: all productions share them" />
      {production && <Of key={production} scope={production} title={`Of ${name(production)}`} />}
    </>
  );
}

const put = (scope: Scope, limit: Limit) =>
  scope
    ? data(api.PUT("/v1/productions/{production}/limits/{name}", { params: { path: { production: scope, name: limit.name! } }, body: { limit } }))
    : data(api.PUT("/v1/studio/limits/{name}", { params: { path: { name: limit.name! } }, body: { limit } }));

const remove = (scope: Scope, name: string) =>
  scope
    ? data(api.DELETE("/v1/productions/{production}/limits/{name}", { params: { path: { production: scope, name } } }))
    : data(api.DELETE("/v1/studio/limits/{name}", { params: { path: { name } } }));

/** says tells what a limit lets through, in words. */
export function lets(l: Limit): string {
  const parts = [];
  if (l.concurrency) parts.push(`${number(l.concurrency)} at once`);
  if (l.rate) parts.push(l.rate >= 1 ? `${number(l.rate)} a second` : `one every ${number(Math.round(1 / l.rate))} s`);
  if (l.rate && (l.burst ?? 0) > 1) parts.push(`${number(l.burst!)} together after a pause`);
  return parts.length ? parts.join(", ") : "any number";
}

function Of({ scope, title }: { scope: Scope; title: string }) {
  const list = useQuery({
    queryKey: ["limits", scope ?? ""],
    queryFn: async () => (await (scope ? data(api.GET("/v1/productions/{production}/limits", { params: { path: { production: scope } } })) : data(api.GET("/v1/studio/limits")))).limits ?? [],
    refetchInterval: every,
  });
  const [editing, setEditing] = useState<string>();
  const [ask, asked] = useAsk();
  const where = scope ? "in this production" : "in all productions together";
  const save = (before: Limit | undefined, next: Limit): Question => ({
    title: before ? `Change ${next.name}?` : `Set a limit ${next.name}?`,
    says: (
      <>
        <p>
          {before ? <>It lets <strong>{lets(before)}</strong> through now, and would let <strong>{lets(next)}</strong>, {where}.</> : <>It would let <strong>{lets(next)}</strong> through, {where}.</>}
        </p>
        {before && (
          <p>
            {count(before.taken ?? 0, "place is taken", "places are taken")}, {count(before.waiting ?? 0, "step waits", "steps wait")} at it.{" "}
            {next.concurrency && next.concurrency < (before.taken ?? 0) ? `What runs goes on; nothing new begins until fewer than ${number(next.concurrency)} run.` : (before.waiting ?? 0) > 0 ? "Those that now have room begin at once." : ""}
          </p>
        )}
        {!before && <p>A limit by a function's name holds for all steps of that function, else for the steps that name it.</p>}
      </>
    ),
    yes: before ? "Change it" : "Set it",
    act: async () => {
      await put(scope, next);
      setEditing(undefined);
    },
    done: `${next.name} lets ${lets(next)} through.`,
    stale: ["limits", "top"],
  });
  return (
    <Card title={title} actions={<Button size="small" onClick={() => setEditing(editing === "" ? undefined : "")}>New limit</Button>} bare>
      <div style={{ padding: list.data ? 0 : "var(--space-4)" }}>
        <Loaded query={list} lines={2}>
          {(limits) => (
            <>
              {editing === "" && <div style={{ padding: "var(--space-4)", borderBottom: "1px solid var(--line)" }}><Edit onSave={(l) => ask(save(limits.find((x) => x.name === l.name), l))} onClose={() => setEditing(undefined)} /></div>}
              {limits.length === 0 ? (
                editing !== "" && <p className="calm">There is none: only the workers' own places hold anything back.</p>
              ) : (
                <div className="scroll" tabIndex={0}>
                  <table className="table">
                    <thead><tr><th>Limit</th><th>Lets through</th><th style={{ width: "22%" }}>Taken</th><th className="right">Waiting</th><th /></tr></thead>
                    <tbody>
                      {limits.map((l) =>
                        editing === l.name ? (
                          <tr key={l.name} className="editRow"><td colSpan={5}><Edit of={l} onSave={(next) => ask(save(l, next))} onClose={() => setEditing(undefined)} /></td></tr>
                        ) : (
                          <tr key={l.name}>
                            <td style={{ fontWeight: 550 }}><code>{l.name}</code></td>
                            <td>{lets(l)}</td>
                            <td style={{ minWidth: "7rem" }}>
                              {l.concurrency ? <Bar label={`${l.taken ?? 0} of ${l.concurrency} places are taken`} parts={[["busy", l.taken ?? 0], ["wait", Math.max(0, l.concurrency - (l.taken ?? 0))]]} /> : null}
                              <span className="faint number">{number(l.taken ?? 0)}{l.concurrency ? ` of ${number(l.concurrency)}` : ""}</span>
                            </td>
                            <td className="right number">{l.waiting ? <Badge tone="wait">{number(l.waiting)}</Badge> : 0}</td>
                            <td>
                              <div className="acts">
                                <Button size="small" onClick={() => setEditing(l.name)}>Change</Button>
                                <Button
                                  size="small"
                                  look="quiet"
                                  onClick={() =>
                                    ask({
                                      title: `Remove the limit ${l.name}?`,
                                      says: <p>It lets {lets(l)} through {where}. Without it any number may run{l.waiting ? `: ${count(l.waiting, "step that waits begins", "steps that wait begin")} as soon as workers have room` : ""}.</p>,
                                      yes: "Remove it",
                                      look: "bad",
                                      act: () => remove(scope, l.name!),
                                      done: `The limit ${l.name} is gone.`,
                                      stale: ["limits", "top"],
                                    })
                                  }
                                >
                                  Remove…
                                </Button>
                              </div>
                            </td>
                          </tr>
                        ),
                      )}
                    </tbody>
                  </table>
                </div>
              )}
            </>
          )}
        </Loaded>
      </div>
      {asked}
    </Card>
  );
}

const whole = (text: string, most: number) => (text === "" || (/^\d+$/.test(text) && Number(text) <= most) ? undefined : `A whole number from 0 to ${number(most)}`);

function Edit({ of, onSave, onClose }: { of?: Limit; onSave: (l: Limit) => void; onClose: () => void }) {
  const [name, setName] = useState(of?.name ?? "");
  const [atOnce, setAtOnce] = useState(of?.concurrency ? String(of.concurrency) : "");
  const [rate, setRate] = useState(of?.rate ? String(of.rate) : "");
  const [burst, setBurst] = useState(of?.burst ? String(of.burst) : "");
  const wrong = {
    name: name === "" || /^[A-Za-z][A-Za-z0-9.@_-]{0,47}$/.test(name) ? undefined : "A letter, then letters, digits and . @ _ -, at most 48",
    atOnce: whole(atOnce, 2147483647),
    rate: rate === "" || (Number(rate) >= 0 && Number(rate) <= 1e6) ? undefined : "A number from 0 to 1,000,000",
    burst: whole(burst, 2147483647),
  };
  const next: Limit = { name, concurrency: Number(atOnce), rate: Number(rate), burst: Number(burst) };
  const same = !!of && next.concurrency === (of.concurrency ?? 0) && next.rate === (of.rate ?? 0) && next.burst === (of.burst ?? 0);
  const ready = name !== "" && !same && !Object.values(wrong).some(Boolean) && (of || next.concurrency || next.rate);
  return (
    <form
      className="cells"
      onSubmit={(e) => {
        e.preventDefault();
        if (ready) onSave(next);
      }}
    >
      {of ? <div className="field name"><span className="label">Limit</span><code style={{ paddingTop: "var(--space-2)" }}>{of.name}</code></div> : (
        <div className="field name"><Field label="Name" wrong={wrong.name} hint="A function's, or one that steps name">{(a) => <Input value={name} autoFocus onChange={(e) => setName(e.target.value)} placeholder="email.Send" {...a} />}</Field></div>
      )}
      <Field label="At once" wrong={wrong.atOnce} hint="Empty: any">{(a) => <Input inputMode="numeric" autoFocus={!!of} value={atOnce} onChange={(e) => setAtOnce(e.target.value)} {...a} />}</Field>
      <Field label="A second" wrong={wrong.rate} hint="Empty: any">{(a) => <Input inputMode="decimal" value={rate} onChange={(e) => setRate(e.target.value)} {...a} />}</Field>
      <Field label="After a pause" wrong={wrong.burst} hint="Together; 1">{(a) => <Input inputMode="numeric" value={burst} onChange={(e) => setBurst(e.target.value)} {...a} />}</Field>
      <Button type="submit" look="main" disabled={!ready}>Save…</Button>
      <Button onClick={onClose}>Leave it</Button>
    </form>
  );
}
