import { useMemo, useRef, useState, type ReactNode } from "react";
import { Button, Card, Notice, toast } from "../../ui";
import { count } from "../../words";
import { add, edit, remove, type Change, type Draft, type RowTrouble } from "./draft";
import { Grid } from "./grid";
import { read, textOf } from "./parse";

/** say tells what came of adding people. */
export function say(added: number, merged: string[], what = ""): string {
  const of = what && ` from ${what}`;
  if (added === 0 && merged.length === 0) return `Nobody was found${of}.`;
  const twice = merged.length === 0 ? "" : ` ${merged.length === 1 ? `${merged[0]} was there already` : `${count(merged.length, "person was", "people were")} there already (${merged.slice(0, 3).join(", ")}${merged.length > 3 ? ` and ${merged.length - 3} more` : ""})`}: merged, nobody gets it twice.`;
  return `${added ? `${count(added, "person", "people")} added${of}.` : ""}${twice}`.trim();
}

/** addText reads people from text into the draft, and returns what came of it. */
export function addText(text: string, change: Change, what?: string): string {
  let came = "";
  change((d) => {
    const [next, said] = add(d, read(text));
    came = say(said.added, said.merged, what);
    return next;
  });
  return came;
}

/** addList reads a dropped or chosen list. */
export async function addList(file: File, change: Change): Promise<string> {
  if (/\.(xlsx?|ods|numbers)$/i.test(file.name)) return `${file.name} is a spreadsheet's own file: copy its cells and paste them here, or save it as CSV and drop that.`;
  if (file.size > 20e6) return `${file.name} is too large to be a list of people.`;
  return addText(await textOf(file), change, file.name);
}

/** Whom is who gets a copy: pasted, dropped, added one by one, or picked. */
export function Whom(p: { draft: Draft; change: Change; troubles: Map<number, RowTrouble>; insert: (column: string) => void; actions?: ReactNode; said: string; say: (s: string) => void }) {
  const { draft: d, change, troubles } = p;
  const [text, setText] = useState("");
  const [only, setOnly] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const bad = [...troubles.values()].filter((t) => t.kind === "bad");
  const odd = troubles.size - bad.length;
  const fixable = [...troubles.values()].filter((t) => t.fix);
  // Who was shown as wrong stays in sight until the filter is left: a row does not vanish under the hands that mend it.
  const [shown, setShown] = useState<Set<number>>(new Set());
  const rows = useMemo(() => (only ? d.rows.filter((r) => shown.has(r.id) || troubles.has(r.id)) : d.rows), [d.rows, only, shown, troubles]);
  const take = (s: string) => {
    if (!s.trim()) return;
    setText("");
    p.say(addText(s, change));
  };
  const acts = useMemo(
    () => ({
      edit: (id: number, c: Parameters<typeof edit>[2]) => change((d) => edit(d, id, c)),
      sure: (id: number) => change((d) => ({ rows: d.rows.map((r) => (r.id === id ? { ...r, sure: true } : r)) })),
      remove: (id: number) =>
        change((d) => {
          const before = { rows: d.rows, lists: d.lists, columns: d.columns };
          const gone = d.rows.find((r) => r.id === id);
          toast("good", `${gone?.name || gone?.email || "A person"} is removed.`, { text: "Undo", act: () => change(before) });
          return remove(d, new Set([id]));
        }),
    }),
    [change],
  );
  const leaveOut = () => {
    const before = { rows: d.rows, lists: d.lists, columns: d.columns };
    change((d) => remove(d, new Set(bad.map((t) => t.row.id))));
    setOnly(false);
    toast("good", `${count(bad.length, "person is", "people are")} left out.`, { text: "Undo", act: () => change(before) });
  };
  return (
    <Card
      title={<>To whom {d.rows.length > 0 && <span className="faint number">{count(d.rows.length, "person", "people")}</span>}</>}
      actions={
        <>
          {p.actions}
          <Button size="small" onClick={() => input.current?.click()}>CSV file…</Button>
          <input ref={input} type="file" accept=".csv,.tsv,.txt,text/csv,text/plain" hidden aria-label="CSV file of people" onChange={(e) => {
            const file = e.target.files?.[0];
            e.target.value = "";
            if (file) void addList(file, change).then(p.say);
          }} />
        </>
      }
    >
      <div className="stack" style={{ gap: "var(--space-3)" }}>
        <div className="sendPaste">
          <textarea className="input" rows={d.rows.length ? 1 : 3} aria-label="Add people" value={text} spellCheck={false}
            placeholder={d.rows.length ? "Add more: paste, or type a name and an address" : "Paste people here: cells of a spreadsheet, “Name <address>” from a mail, CSV, or one a line"}
            onChange={(e) => setText(e.target.value)}
            onPaste={(e) => {
              const pasted = e.clipboardData.getData("text/plain");
              // A single word is being put together with what is typed; anything more is people.
              if (text.trim() || !/[\n\t;,<@]/.test(pasted.trim())) return;
              e.preventDefault();
              take(pasted);
            }}
            onKeyDown={(e) => {
              if (e.key !== "Enter" || e.shiftKey || e.nativeEvent.isComposing) return;
              e.preventDefault();
              take(text);
            }} />
          <Button disabled={!text.trim()} onClick={() => take(text)}>Add</Button>
        </div>
        <div className="sendSays" role="status">{p.said}</div>
        {troubles.size > 0 && (
          <Notice
            tone={bad.length ? "bad" : "wait"}
            title={bad.length ? `${count(bad.length, "person needs", "people need")} mending before this can be sent${odd ? `, ${odd} more ${odd === 1 ? "looks" : "look"} mistyped` : ""}.` : `${count(odd, "address looks", "addresses look")} mistyped.`}
            actions={
              <span className="row sendMend">
                <Button size="small" aria-pressed={only} onClick={() => (setShown(new Set(troubles.keys())), setOnly(!only))}>{only ? "Show everybody" : "Show only them"}</Button>
                {fixable.length > 1 && <Button size="small" onClick={() => (setShown(new Set(troubles.keys())), change((d) => fixable.reduce<Draft>((d, t) => ({ ...d, ...edit(d, t.row.id, { email: t.fix }) }), d)))}>Use all {fixable.length} corrections</Button>}
                {bad.length > 0 && bad.length < d.rows.length && <Button size="small" onClick={leaveOut}>Leave out {bad.length}</Button>}
              </span>
            }
          />
        )}
        {only && troubles.size === 0 && <Notice tone="good" actions={<Button size="small" onClick={() => setOnly(false)}>Show everybody</Button>}>All are mended.</Notice>}
        {rows.length > 0 && (
          <Grid rows={rows} columns={d.columns} troubles={troubles} acts={acts}
            columnActs={{
              insert: p.insert,
              remove: (c) => change((d) => ({ columns: d.columns.filter((x) => x !== c), rows: d.rows.map((r) => { const { [c]: _, ...fields } = r.fields; return { ...r, fields }; }) })),
              rename: (from, to) => change((d) => ({
                columns: d.columns.map((x) => (x === from ? to : x)),
                mark: d.mark.replaceAll(`{${from}}`, `{${to}}`),
                rows: d.rows.map((r) => { const { [from]: v, ...fields } = r.fields; return v === undefined ? r : { ...r, own: true, person: undefined, fields: { ...fields, [to]: v } }; }),
                lists: d.lists.map((l) => ({ ...l, whole: false })),
              })),
            }} />
        )}
        {d.rows.length > 1 && (
          <div className="row">
            {d.lists.length > 0 && <span className="faint">With {d.lists.map((l) => (l.whole ? l.name : `${l.name} (changed here)`)).join(", ")}.</span>}
            <Button size="small" look="quiet" onClick={() => {
              const before = { rows: d.rows, lists: d.lists, columns: d.columns };
              change({ rows: [], lists: [], columns: [] });
              setOnly(false);
              p.say("");
              toast("good", `${count(d.rows.length, "person is", "people are")} removed.`, { text: "Undo", act: () => change(before) });
            }}>Remove everybody</Button>
          </div>
        )}
      </div>
    </Card>
  );
}
