import { useVirtualizer } from "@tanstack/react-virtual";
import { Fragment, memo, useRef, useState, type KeyboardEvent } from "react";
import { Button, Dialog, Field, Input, Menu } from "../../ui";
import { fieldName } from "./parse";
import type { Row, RowTrouble } from "./draft";

export interface GridActs {
  edit: (id: number, change: Partial<Pick<Row, "name" | "email" | "fields">>) => void;
  remove: (id: number) => void;
  sure: (id: number) => void;
}

/** Grid is a table of people, each cell to be changed where it stands; the arrow keys go from row to row. */
export function Grid(p: { rows: Row[]; columns: string[]; troubles: Map<number, RowTrouble>; acts: GridActs; columnActs: { rename: (from: string, to: string) => void; remove: (column: string) => void; insert: (column: string) => void } }) {
  const frame = useRef<HTMLDivElement>(null);
  const [renamed, setRenamed] = useState("");
  const virtual = useVirtualizer({
    count: p.rows.length,
    getScrollElement: () => frame.current,
    estimateSize: (i) => (p.troubles.has(p.rows[i]!.id) ? 76 : 42),
    getItemKey: (i) => p.rows[i]!.id,
    overscan: 8,
  });
  const keys = (e: KeyboardEvent<HTMLDivElement>) => {
    const cell = (e.target as HTMLElement).dataset;
    if (cell.column === undefined || !["ArrowDown", "ArrowUp", "Enter"].includes(e.key)) return;
    const row = Number(cell.row) + (e.key === "ArrowUp" ? -1 : 1);
    if (row < 0 || row >= p.rows.length) return;
    e.preventDefault();
    virtual.scrollToIndex(row);
    requestAnimationFrame(() => frame.current?.querySelector<HTMLInputElement>(`input[data-row="${row}"][data-column="${cell.column}"]`)?.select());
  };
  const columns = `minmax(0, 1.1fr) minmax(0, 1.6fr) ${p.columns.map(() => "minmax(0, 1fr)").join(" ")} 2rem`;
  const least = `${23 + 7 * p.columns.length}rem`;
  return (
    <>
      <div className="sendGrid" ref={frame} role="table" aria-label="People to send to" aria-rowcount={p.rows.length + 1} onKeyDown={keys} style={{ "--columns": columns, "--least": least } as React.CSSProperties}>
        <div className="sendRow sendHead" role="row" aria-rowindex={1}>
          <span role="columnheader">Name</span>
          <span role="columnheader">Address</span>
          {p.columns.map((c) => (
            <span role="columnheader" key={c}>
              <Menu label={<>{c} <span aria-hidden>▾</span></>} name={`Column ${c}`} items={[
                { text: "Put it into the mark", act: () => p.columnActs.insert(c) },
                { text: "Rename…", act: () => setRenamed(c) },
                { text: "Remove the column", act: () => p.columnActs.remove(c), look: "bad" },
              ]} />
            </span>
          ))}
          <span role="columnheader"><span className="unseen">Remove</span></span>
        </div>
        <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="rowgroup">
          {virtual.getVirtualItems().map((v) => {
            const row = p.rows[v.index]!;
            return (
              <div key={v.key} data-index={v.index} ref={virtual.measureElement} className="sendPlace" style={{ transform: `translateY(${v.start}px)` }}>
                <Line row={row} index={v.index} columns={p.columns} trouble={p.troubles.get(row.id)} acts={p.acts} />
              </div>
            );
          })}
        </div>
      </div>
      <Rename column={renamed} taken={p.columns} onClose={() => setRenamed("")} rename={p.columnActs.rename} />
    </>
  );
}

interface LineProps {
  row: Row;
  index: number;
  columns: string[];
  trouble?: RowTrouble;
  acts: GridActs;
}

const alike = (a: LineProps, b: LineProps) =>
  a.row === b.row && a.index === b.index && a.columns === b.columns && a.acts === b.acts && a.trouble?.says === b.trouble?.says && a.trouble?.fix === b.trouble?.fix;

const Line = memo(function Line({ row, index, columns, trouble: t, acts }: LineProps) {
  const who = row.name || row.email || `person ${index + 1}`;
  const cell = (column: string, label: string, value: string, change: (v: string) => void, wrong: boolean, said?: string) => (
    <span role="cell">
      <input className="sendCell" aria-label={`${label} of ${who}`} placeholder={label} data-row={index} data-column={column} data-empty={value === "" || undefined} value={value} spellCheck={false} autoComplete="off"
        inputMode={column === "email" ? "email" : undefined} aria-invalid={wrong || undefined} aria-describedby={wrong ? said : undefined} onChange={(e) => change(e.target.value)} />
    </span>
  );
  const said = `trouble-${row.id}`;
  return (
    <div className="sendRow" role="row" aria-rowindex={index + 2} data-kind={t?.kind}>
      {cell("name", "Name", row.name, (name) => acts.edit(row.id, { name }), t?.of === "name", said)}
      {cell("email", "Address", row.email, (email) => acts.edit(row.id, { email }), t?.of === "email", said)}
      {columns.map((c) => <Fragment key={c}>{cell(c, c, row.fields[c] ?? "", (v) => acts.edit(row.id, { fields: { ...row.fields, [c]: v } }), false)}</Fragment>)}
      <span role="cell"><Button size="small" look="quiet" aria-label={`Remove ${who}`} onClick={() => acts.remove(row.id)}>✕</Button></span>
      {t && (
        <div className="sendSaid" role="cell" id={said}>
          <span className={t.kind === "bad" ? "sendBad" : "sendOdd"}>{t.says}</span>
          {t.fix && <Button size="small" onClick={() => acts.edit(row.id, { email: t.fix })}>Use {t.fix}</Button>}
          {t.kind === "odd" && <Button size="small" look="quiet" onClick={() => acts.sure(row.id)}>It is right</Button>}
        </div>
      )}
    </div>
  );
}, alike);

function Rename(p: { column: string; taken: string[]; onClose: () => void; rename: (from: string, to: string) => void }) {
  const [title, setTitle] = useState("");
  const name = fieldName(title);
  const wrong = title && !name ? "Begin with a letter." : name === "name" || name === "email" || (name !== p.column && p.taken.includes(name)) ? `There is a column ${name} already.` : undefined;
  return (
    <Dialog title={`Rename the column ${p.column}`} open={p.column !== ""} onClose={() => (setTitle(""), p.onClose())}>
      <form className="stack" onSubmit={(e) => {
        e.preventDefault();
        if (!name || wrong) return;
        p.rename(p.column, name);
        setTitle("");
        p.onClose();
      }}>
        <Field label="Name" wrong={wrong} hint={name ? `In the mark it is {${name}}.` : "Letters, digits and underscores."}>
          {(a) => <Input {...a} autoFocus value={title} placeholder={p.column} onChange={(e) => setTitle(e.target.value)} />}
        </Field>
        <footer><Button onClick={() => (setTitle(""), p.onClose())}>Leave it</Button><Button type="submit" look="main" disabled={!name || !!wrong}>Rename</Button></footer>
      </form>
    </Dialog>
  );
}
