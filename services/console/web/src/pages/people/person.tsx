import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { ApiError } from "../../api/client";
import { domains, nameFrom, troubleWith } from "../send/address";
import { fieldName } from "../send/parse";
import { Button, Dialog, Field, Input, toast, Trouble } from "../../ui";
import { createPerson, updatePerson, type Person } from "./api";

const nobody = domains([]);

/** PersonForm adds somebody, or changes them. Its key is the person: another one is another form. */
export function PersonForm(p: { production: string; person?: Person; onClose: () => void; saved?: (p: Person) => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState(p.person?.name ?? "");
  const [email, setEmail] = useState(p.person?.email ?? "");
  const [fields, setFields] = useState<[string, string][]>(Object.entries({ role: "", company: "", ...p.person?.fields }));
  const [busy, setBusy] = useState(false);
  const [tried, setTried] = useState(false);
  const [error, setError] = useState<Error>();
  const trouble = useMemo(() => troubleWith(email, nobody), [email]);
  const names = fields.map(([k]) => fieldName(k));
  const wrongField = fields.findIndex(([k, v], i) => (k !== "" || v !== "") && (!names[i] || names[i] === "name" || names[i] === "email" || names.indexOf(names[i]!) !== i));
  const save = async () => {
    setTried(true);
    if (trouble?.kind === "bad" || wrongField >= 0) return;
    setBusy(true);
    setError(undefined);
    const body = { name: name.trim() || nameFrom(email), email: email.trim(), fields: Object.fromEntries(fields.flatMap(([, v], i) => (names[i] && v.trim() ? [[names[i]!, v.trim()]] : []))) };
    try {
      const saved = p.person ? await updatePerson(p.production, p.person.id!, { ...body, revision: p.person.revision }) : await createPerson(p.production, body);
      void queries.invalidateQueries({ queryKey: ["people", p.production] });
      void queries.invalidateQueries({ queryKey: ["members", p.production] });
      toast("good", `${saved.name} is ${p.person ? "changed" : "added"}.`);
      p.saved?.(saved);
      p.onClose();
    } catch (e) {
      setError(e as Error);
      // What there is now is fetched, so that opening it again shows it.
      if (e instanceof ApiError && e.code === "PERSON_CHANGED") void queries.invalidateQueries({ queryKey: ["people", p.production] });
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={p.person ? p.person.name ?? "Person" : "Add a person"} open onClose={p.onClose}>
      <form className="stack" onSubmit={(e) => (e.preventDefault(), void save())} noValidate>
        <Field label="Name" hint={name.trim() ? undefined : "Empty: made of the address."}>
          {(a) => <Input {...a} autoFocus value={name} maxLength={200} autoComplete="off" onChange={(e) => setName(e.target.value)} />}
        </Field>
        <div className="stack" style={{ gap: "var(--space-2)" }}>
          <Field label="Address" wrong={trouble?.kind === "bad" && (tried || trouble.fix) ? trouble.says : undefined} hint={trouble?.kind === "odd" ? trouble.says : undefined}>
            {(a) => <Input {...a} type="text" inputMode="email" value={email} autoComplete="off" spellCheck={false} onChange={(e) => setEmail(e.target.value)} />}
          </Field>
          {trouble?.fix && <div><Button size="small" onClick={() => setEmail(trouble.fix!)}>Use {trouble.fix}</Button></div>}
        </div>
        <fieldset className="peopleFields">
          <legend className="label">For the mark</legend>
          {fields.map(([k, v], i) => (
            <div key={i} className="row" style={{ flexWrap: "nowrap" }}>
              <Input aria-label="Field" placeholder="Field" value={k} aria-invalid={i === wrongField || undefined} onChange={(e) => setFields(fields.map((f, j) => (j === i ? [e.target.value, f[1]] : f)))} />
              <Input aria-label={k || "Value"} placeholder="Value" value={v} maxLength={200} onChange={(e) => setFields(fields.map((f, j) => (j === i ? [f[0], e.target.value] : f)))} />
              <Button size="small" look="quiet" aria-label={`Remove the field ${k}`} onClick={() => setFields(fields.filter((_, j) => j !== i))}>✕</Button>
            </div>
          ))}
          {wrongField >= 0 && <span className="wrong" role="alert">Each field needs a name of its own that begins with a letter, and is neither name nor email.</span>}
          <div><Button size="small" onClick={() => setFields([...fields, ["", ""]])}>Add a field</Button></div>
        </fieldset>
        {error && <Trouble error={error} />}
        <footer>
          <Button onClick={p.onClose}>Leave it</Button>
          <Button type="submit" look="main" busy={busy} disabled={!email.trim()}>{p.person ? "Save" : "Add"}</Button>
        </footer>
      </form>
    </Dialog>
  );
}
