import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { api, ApiError, data, type Schemas } from "../../api/client";
import { useProductions } from "../../app";
import { to } from "../../routes";
import { Button, Card, Choice, Field, Go, Input, Notice, PageHead, State, toast, Trouble } from "../../ui";
import { Editor, problemsOf } from "../../ui/code";
import { capital, count, severities } from "../../words";
import { useNames } from "../oncall/parts";
import { Actions } from "./actions";
import { duration, onWords, time, type On } from "./write";

type Rule = Schemas["Rule"];
/** useFields asks, when told to, which names a condition may use: a name that there is not is refused with those that there are. */
function useFields(on: string) {
  return useQuery({
    queryKey: ["rule-fields", on],
    staleTime: Infinity,
    retry: false,
    enabled: false,
    queryFn: async () => {
      try {
        await data(api.POST("/v1/rules:test", { body: { rule: { name: "fields", on: on as On, when: "unknown_name == 0", severity: "info" } } }));
      } catch (e) {
        if (!(e instanceof ApiError) || e.code !== "RULE_INVALID") throw e;
        return /it has (.+)$/m.exec(e.message)?.[1]?.split(", ") ?? [];
      }
      return [];
    },
  });
}

/** EditRule changes a rule or makes one; what it would find now is tried before it is put. */
export function EditRule({ from }: { from?: Rule }) {
  const [rule, setRule] = useState<Rule>(() => from ?? { name: "", title: "", on: "failures", when: "open > 0 && recipients >= 5", severity: "warn", actions: [], productions: [] });
  const [forText, setFor] = useState(time(from?.for));
  const [absentText, setAbsent] = useState(time(from?.absent));
  const productions = useProductions();
  const fields = useFields(rule.on!);
  const names = useNames();
  const [, go] = useLocation();
  const queries = useQueryClient();
  const set = (change: Partial<Rule>) => (setRule({ ...rule, ...change }), test.reset(), put.reset());
  const wrong = {
    name: rule.name === "" || /^[a-z0-9][a-z0-9-]{0,62}$/.test(rule.name!) ? undefined : "Lower-case letters, digits and dashes, at most 63",
    for: forText === "" || duration(forText) ? undefined : "Write it as 30s, 5m or 2h",
    absent: absentText === "" || duration(absentText) ? undefined : "Write it as 30s, 5m or 2h",
  };
  const whole = (): Rule => ({ ...rule, for: forText ? duration(forText) : undefined, absent: absentText ? duration(absentText) : undefined, source: undefined, problem: undefined });
  const test = useMutation({ mutationFn: async () => (await data(api.POST("/v1/rules:test", { body: { rule: { ...whole(), name: rule.name || "new" } } }))).alerts ?? [] });
  const put = useMutation({
    mutationFn: () => data(api.PUT("/v1/rules/{name}", { params: { path: { name: rule.name! } }, body: whole() })),
    onSuccess: async (r) => {
      toast("good", `Rule ${r.name} holds from now on.`);
      await queries.invalidateQueries({ queryKey: ["rules"] });
      go(to.rules());
    },
  });
  const refused = (put.error ?? test.error) as Error | null;
  const invalid = refused instanceof ApiError && refused.code === "RULE_INVALID" ? refused.message.replace(/^rule \S+ cannot work: /, "") : undefined;
  const inWhen = invalid && /^when:/m.test(invalid) ? problemsOf(invalid.replace(/^when: /, "")) : undefined;
  const fit = !Object.values(wrong).some(Boolean) && !!rule.when?.trim();
  return (
    <>
      <PageHead
        title={from ? from.title || from.name! : "New rule"}
        above={<Link href={to.rules()}>Rules</Link>}
        below={from?.source ? `It is ${from.source === "built in" ? "one of ours" : `of ${from.source}`}; what you put goes before it.` : undefined}
        actions={<Go to={to.rules()}>Leave it</Go>}
      />
      {from?.problem && <Notice tone="bad" title="It cannot be looked at now.">{from.problem}</Notice>}
      <Card title="What is trouble">
        <div className="stack">
          <div className="filters">
            <Field label="Name" wrong={wrong.name}>{(a) => <Input value={rule.name} readOnly={!!from} onChange={(e) => set({ name: e.target.value })} placeholder="mail-refused" {...a} />}</Field>
            <div className="field" style={{ flex: "2 1 14rem", maxWidth: "none" }}><Field label="Title, for whoever is woken">{(a) => <Input value={rule.title} onChange={(e) => set({ title: e.target.value })} placeholder="Mail is refused" {...a} />}</Field></div>
          </div>
          <Field label="It looks at">
            {(a) => (
              <select className="input" style={{ maxWidth: "20rem" }} value={rule.on} onChange={(e) => set({ on: e.target.value as On })} {...a}>
                {Object.entries(onWords).map(([on, text]) => <option key={on} value={on}>{text}</option>)}
              </select>
            )}
          </Field>
          <div className="field">
            <span className="label">It is trouble when (CEL)</span>
            <Editor label="Condition in CEL" value={rule.when ?? ""} onChange={(when) => set({ when })} rows={4} problems={inWhen} />
            {!fields.data && <p className="hint"><button type="button" className="link" onClick={() => void fields.refetch()}>Which names are there?</button></p>}
            {!!fields.data?.length && (
              <p className="hint">
                Names:{" "}
                {fields.data.map((f) => (
                  <button key={f} type="button" className="chip" onClick={() => set({ when: `${rule.when ?? ""}${rule.when && !/\s$/.test(rule.when) ? " " : ""}${f}` })}><code>{f}</code></button>
                ))}
              </p>
            )}
          </div>
          <div className="filters">
            <Field label="For as long as" wrong={wrong.for} hint="Empty: at once">{(a) => <Input value={forText} onChange={(e) => (setFor(e.target.value), test.reset())} placeholder="2m" {...a} />}</Field>
            <Field label="Or that none was so for" wrong={wrong.absent} hint="Empty: that one is">{(a) => <Input value={absentText} onChange={(e) => (setAbsent(e.target.value), test.reset())} placeholder="26h" {...a} />}</Field>
            <Field label="Alike is what has the same (CEL)" hint="Empty: what it is about">{(a) => <Input value={rule.group ?? ""} onChange={(e) => set({ group: e.target.value })} {...a} />}</Field>
          </div>
          {(productions.data?.length ?? 0) > 0 && (
            <fieldset className="field" style={{ border: 0, padding: 0, margin: 0 }}>
              <legend className="label" style={{ padding: 0 }}>Only in (none: everywhere)</legend>
              <span className="row" style={{ gap: "var(--space-1) var(--space-4)" }}>
                {productions.data!.map((p) => (
                  <label key={p.id} className="row">
                    <input type="checkbox" checked={!!rule.productions?.includes(p.id!)} onChange={(e) => set({ productions: e.target.checked ? [...(rule.productions ?? []), p.id!] : rule.productions?.filter((x) => x !== p.id) })} />
                    {p.name || p.id}
                  </label>
                ))}
              </span>
            </fieldset>
          )}
        </div>
      </Card>
      <Card title="What is done then">
        <div className="stack">
          <Choice label="How urgent" value={(rule.severity || "warn") as "page" | "warn" | "info"} options={[["page", "Urgent"], ["warn", "Warning"], ["info", "Note"]]} onChange={(severity) => set({ severity })} />
          <Field label="The sentence, with {names}" hint="Empty: one of ours">{(a) => <Input value={rule.sentence ?? ""} onChange={(e) => set({ sentence: e.target.value })} {...a} />}</Field>
          <Actions list={rule.actions ?? []} onChange={(actions) => set({ actions })} />
        </div>
      </Card>
      {refused && !inWhen && (invalid ? <Notice tone="bad" alert>{capital(invalid)}</Notice> : <Trouble error={refused} />)}
      {test.data && (
        <Card title={test.data.length ? `Now it would find ${count(test.data.length, "alert")}` : "Now it would find nothing"} bare={test.data.length > 0}>
          {test.data.length === 0 ? (
            <p className="soft">Nothing is so at this moment.{forText || absentText ? " How long it must be so is not waited for here." : ""}</p>
          ) : (
            <ul className="lines">
              {test.data.slice(0, 50).map((a, i) => (
                <li key={i}>
                  <div className="head"><span className="title">{capital(a.sentence)}</span><State of={severities} is={a.severity} /></div>
                  <div className="asides faint">{a.production && <span>{names(a.production)}</span>}<code>{a.subject}</code>{(a.count ?? 0) > 1 && <span>{count(a.count!, "finding")}</span>}</div>
                </li>
              ))}
            </ul>
          )}
        </Card>
      )}
      <div className="row">
        <Button busy={test.isPending} disabled={!fit} onClick={() => test.mutate()}>Test: what would it find now?</Button>
        <Button look="main" busy={put.isPending} disabled={!fit || !rule.name} onClick={() => put.mutate()}>{from ? "Save" : "Put it"}</Button>
        <span className="faint">A test does and tells nothing. {rule.disabled && "The rule is switched off and stays so."}</span>
      </div>
    </>
  );
}
