import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import type { Schemas } from "../../api/client";
import { Area, Button, Dialog, Field, Notice, Trouble } from "../../ui";
import { count } from "../../words";
import { cells, fieldName, read, textOf } from "../send/parse";
import { csvOf, importCsv, type List } from "./api";

/** headed tells whether text is CSV with a header that the directory understands, so that its lines keep their numbers. */
function headed(text: string): boolean {
  const first = text.replace(/^\ufeff/, "").split(/\r?\n/).find((l) => l.trim()) ?? "";
  return [",", ";", "\t"].some((s) => {
    const names = (cells(first, s)[0] ?? []).map(fieldName);
    return names.includes("name") && (names.includes("email") || names.includes("e_mail"));
  });
}

/** Import takes people in from a CSV file or from what is pasted, and names each line that could not be taken. */
export function Import(p: { production: string; lists: List[]; list?: string; onClose: () => void }) {
  const queries = useQueryClient();
  const [text, setText] = useState("");
  const [list, setList] = useState(p.list ?? "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const [came, setCame] = useState<{ of: Schemas["ImportPeopleResponse"]; sent: string }>();
  const input = useRef<HTMLInputElement>(null);
  const take = async () => {
    setBusy(true);
    setError(undefined);
    const r = headed(text) ? undefined : read(text);
    const sent = r ? csvOf(r.people, r.columns) : text;
    try {
      setCame({ of: await importCsv(p.production, sent, list), sent });
      for (const key of ["people", "lists", "members"]) void queries.invalidateQueries({ queryKey: [key, p.production] });
    } catch (e) {
      setError(e as Error);
    } finally {
      setBusy(false);
    }
  };
  const named = p.lists.find((l) => l.id === list)?.name;
  if (came) {
    const problems = came.of.problems ?? [];
    const lines = came.sent.split(/\r?\n/);
    return (
      <Dialog title="Import" open onClose={p.onClose} wide>
        <Notice tone={came.of.refused ? "wait" : "good"} title={`${count(came.of.added ?? 0, "person is", "people are")} added, ${came.of.changed ?? 0} changed, ${came.of.unchanged ?? 0} were there as they are.`}>
          {list && `${came.of.added_to_list ?? 0} came into ${named ?? "the list"}.`} {came.of.refused ? `${count(came.of.refused, "line was", "lines were")} left out:` : ""}
        </Notice>
        {problems.length > 0 && (
          <div className="scroll peopleProblems">
            <table className="table">
              <thead><tr><th className="right">Line</th><th>What is wrong</th><th>What it says</th></tr></thead>
              <tbody>{problems.map((x, i) => <tr key={i}><td className="right number">{x.line || ""}</td><td>{x.message}</td><td className="faint">{x.line ? lines[x.line - 1] : ""}</td></tr>)}</tbody>
            </table>
          </div>
        )}
        <footer>
          {problems.some((x) => x.line) && (
            <Button onClick={() => {
              const bad = [...new Set(problems.flatMap((x) => (x.line ? [x.line] : [])))].filter((n) => n > 1);
              const header = lines.find((l) => l.trim()) ?? "";
              setText([header, ...bad.map((n) => lines[n - 1] ?? "")].join("\n"));
              setCame(undefined);
            }}>Mend these lines…</Button>
          )}
          <Button look="main" onClick={p.onClose}>Done</Button>
        </footer>
      </Dialog>
    );
  }
  return (
    <Dialog title="Import people" open onClose={p.onClose} wide>
      <form className="stack" onSubmit={(e) => (e.preventDefault(), void take())}>
        <Field label="People" hint="CSV with a header (name, email, further columns for the mark), cells of a spreadsheet, or addresses from a mail. Whoever is there already by their address is changed; nobody comes in twice.">
          {(a) => (
            <Area {...a} rows={8} value={text} spellCheck={false} placeholder={"name,email,role\nMaren Voss,maren@example.com,Director"} onChange={(e) => setText(e.target.value)}
              onDragOver={(e) => e.preventDefault()}
              onDrop={(e) => {
                const file = e.dataTransfer.files[0];
                if (!file) return;
                e.preventDefault();
                void textOf(file).then(setText);
              }} />
          )}
        </Field>
        <div className="row">
          <Button onClick={() => input.current?.click()}>Choose a CSV file…</Button>
          <input ref={input} type="file" hidden accept=".csv,.tsv,.txt,text/csv,text/plain" aria-label="CSV file of people" onChange={(e) => {
            const file = e.target.files?.[0];
            e.target.value = "";
            if (file) void textOf(file).then(setText);
          }} />
        </div>
        {!p.list && p.lists.length > 0 && (
          <Field label="Put them into a list, too">
            {(a) => (
              <select {...a} className="input" value={list} onChange={(e) => setList(e.target.value)}>
                <option value="">No list</option>
                {p.lists.map((l) => <option key={l.id} value={l.id}>{l.name}</option>)}
              </select>
            )}
          </Field>
        )}
        {error && <Trouble error={error} />}
        <footer>
          <Button onClick={p.onClose}>Leave it</Button>
          <Button type="submit" look="main" busy={busy} disabled={!text.trim()}>Import</Button>
        </footer>
      </form>
    </Dialog>
  );
}
