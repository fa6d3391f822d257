import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useDeferredValue, useEffect, useMemo, useRef, useState, useSyncExternalStore, type CSSProperties } from "react";
import { createPortal } from "react-dom";
import { useLocation, useSearchParams } from "wouter";
import type { Schemas } from "../../api/client";
import { Choice, Empty, Input, Trouble } from "../../ui";
import { number } from "../../words";
import { groups, shown, type Group } from "./filter";
import { PersonPanel } from "./person";
import { Row } from "./row";
import { copySaid } from "./said";
import type { Sheet } from "./sheet";
import { isOffline } from "./standing";

/** mostFiles is up to how many files there is a matrix: more would not fit beside a name. */
const mostFiles = 12;

export const useNarrow = () => {
  const query = useMemo(() => matchMedia("(max-width: 46rem)"), []);
  return useSyncExternalStore((f) => (query.addEventListener("change", f), () => query.removeEventListener("change", f)), () => query.matches);
};

/** People shows everybody a distribution is for and each of their copies, as they stand now. */
export default function People({ d, sheet, ran }: { d: Schemas["Distribution"]; sheet: Sheet; ran: () => void }) {
  const version = useSyncExternalStore(sheet.subscribe, () => sheet.version);
  const [query, setQuery] = useSearchParams();
  const set = useCallback((name: string, value: string) => setQuery((q) => (value ? q.set(name, value) : q.delete(name), q), { replace: true }), [setQuery]);
  const files = d.files ?? [];
  const narrow = useNarrow();
  const may = files.length <= mostFiles;
  const view = may && (query.get("view") ?? (narrow ? "list" : "matrix")) === "matrix" ? "matrix" : "list";
  const group = (groups.find(([g]) => g === query.get("state"))?.[0] ?? "") as Group;
  const [text, setText] = useState(query.get("text") ?? "");
  const asked = useDeferredValue(text);
  useEffect(() => {
    const timer = setTimeout(() => asked !== (query.get("text") ?? "") && set("text", asked), 300);
    return () => clearTimeout(timer);
  }, [asked]);
  useEffect(() => void (sheet.known === 0 ? sheet.load() : sheet.changed()), [sheet]);

  const { people, counts } = useMemo(() => shown(sheet, group, asked), [sheet, version, group, asked]);
  const link = d.mode !== "attachment";
  const offered = groups.filter(([g]) => link || (g !== "opened" && g !== "unopened"));
  const person = Number(query.get("person") ?? 0);
  return (
    <>
      <div className="peopleBar">
        <nav className="chips" aria-label="Who is shown">
          {offered.map(([g, name]) => (
            <button key={g} type="button" className="chip" aria-pressed={g === group} onClick={() => set("state", g)}>
              {name} <span className="number">{g === "" || sheet.known === sheet.total ? number(counts[g]) : "…"}</span>
            </button>
          ))}
        </nav>
        <div className="finding">
          <Input type="search" value={text} onChange={(e) => setText(e.target.value)} placeholder="Name, address, role…" aria-label="Search people" />
          {may && <Choice label="Shown as" value={view} onChange={(v) => set("view", v)} options={[["matrix", "Matrix"], ["list", "List"]]} />}
        </div>
      </div>
      {sheet.error && !(isOffline(sheet.error) && sheet.known > 0) && <Trouble error={sheet.error} again={() => (sheet.known === 0 ? void sheet.load() : sheet.changed())} />}
      {sheet.total === 0 ? (
        <Empty title="Nobody is in it yet">Its people appear as soon as they are laid out.</Empty>
      ) : people.length === 0 ? (
        <div className="card"><Empty title={sheet.known < sheet.total ? "Still reading…" : "Nobody fits"} action={<button type="button" className="button" onClick={() => (setText(""), set("state", ""))}>Show everybody</button>}>{asked ? `Nobody in this group is found by “${asked}”.` : "Nobody is in this group just now."}</Empty></div>
      ) : (
        <Grid key={view} d={d} sheet={sheet} people={people} matrix={view === "matrix"} narrow={narrow} open={(n) => setQuery((q) => (q.set("person", String(n + 1)), q))} />
      )}
      {view === "matrix" && <Legend />}
      {person > 0 && person <= sheet.total && <PersonPanel d={d} sheet={sheet} n={person - 1} ran={ran} onClose={() => set("person", "")} />}
    </>
  );
}

const Legend = () => (
  <p className="faint">Point at a mark, or walk over them with the arrow keys, to read what it says; Enter opens its story.</p>
);

interface GridProps {
  d: Schemas["Distribution"];
  sheet: Sheet;
  people: number[];
  matrix: boolean;
  narrow: boolean;
  open: (person: number) => void;
}

/** Grid draws only the rows in sight, however many there are. */
function Grid({ d, sheet, people, matrix, narrow, open }: GridProps) {
  const files = d.files ?? [];
  const link = d.mode !== "attachment";
  const box = useRef<HTMLDivElement>(null);
  const height = narrow && !matrix ? 92 : 50;
  const head = narrow && !matrix ? 0 : matrix && files.length > 3 ? 144 : 36;
  const rows = useVirtualizer({ count: people.length, getScrollElement: () => box.current, estimateSize: () => height, overscan: 6, paddingStart: head });
  useEffect(() => rows.measure(), [height, head]);
  const seen = rows.getVirtualItems();
  const first = people[seen[0]?.index ?? 0] ?? 0;
  const last = people[seen.at(-1)?.index ?? 0] ?? 0;
  useEffect(() => {
    // Filtered people lie far apart: then a stretch from the first in sight is looked at, the rest in its turn.
    const timer = setTimeout(() => sheet.see(first, Math.min(last + 1, first + 200)), 120);
    return () => clearTimeout(timer);
  }, [sheet, first, last]);

  // One mark of all is in the order of the Tab key; arrows lead to the others.
  const [at, setAt] = useState<[number, number]>([0, 0]);
  const [tip, setTip] = useState<{ text: string; x: number; y: number; below: boolean }>();
  const walk = (e: React.KeyboardEvent) => {
    if (e.key === "Escape") return setTip(undefined);
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-10, 0], PageDown: [10, 0], Home: [0, -99], End: [0, 99] }[e.key];
    const where = placeOf(e.target);
    if (!move || !where) return;
    e.preventDefault();
    const row = Math.max(0, Math.min(people.length - 1, where[0] + move[0]!));
    const col = Math.max(0, Math.min(files.length - 1, where[1] + move[1]!));
    setAt([row, col]);
    rows.scrollToIndex(row, { align: "auto" });
    const focus = (tries: number) => {
      const next = box.current?.querySelector<HTMLElement>(`[data-at="${row}:${col}"]`);
      if (next) next.focus({ preventScroll: false });
      else if (tries > 0) requestAnimationFrame(() => focus(tries - 1));
    };
    requestAnimationFrame(() => focus(5));
  };
  const point = (e: { target: EventTarget }) => {
    const where = placeOf(e.target);
    if (!where) return setTip(undefined);
    const n = people[where[0]]!;
    const r = (e.target as HTMLElement).closest("[data-at]")!.getBoundingClientRect();
    const below = r.top < 140;
    setTip({ text: saidOf(d, sheet, where[1], n), x: Math.max(180, Math.min(innerWidth - 180, r.left + r.width / 2)), y: below ? r.bottom + 6 : r.top - 6, below });
  };
  const [, go] = useLocation();
  const follow = (e: React.MouseEvent) => {
    const a = e.target instanceof Element ? e.target.closest("a") : null;
    if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    go(a.pathname);
  };
  const few = files.length <= 3;
  const cell = few ? (narrow ? 5 : 7) : 2.75;
  const mail = narrow ? 6.5 : 8.5;
  const columns = matrix
    ? `minmax(var(--who), ${narrow ? "0fr" : "1.5fr"}) ${mail}rem repeat(${files.length}, ${few ? `minmax(${cell}rem, 1fr)` : `${cell}rem`}) ${link ? "11rem" : ""} minmax(7rem, 0.4fr)`
    : `minmax(13rem, 1.5fr) minmax(8.5rem, 0.7fr) minmax(9rem, 1.1fr) ${link ? "minmax(10rem, 0.9fr)" : ""} 7rem`;
  const least = matrix ? `calc(var(--who) + ${mail + files.length * cell + (link ? 11 : 0) + 7}rem)` : narrow ? "0" : `${37.5 + (link ? 10 : 0)}rem`;
  return (
    <div ref={box} className="sheet card" data-matrix={matrix || undefined} data-narrow={narrow || undefined} role="grid" aria-label="People and their copies" aria-rowcount={people.length + 1}
      onClick={follow} onKeyDown={walk} onFocus={point} onBlur={() => setTip(undefined)} onPointerOver={point} onPointerLeave={() => setTip(undefined)} onScroll={() => tip && setTip(undefined)}
      style={{ "--columns": columns, "--least": least, "--rows": `${people.length * height + head + 2}px` } as CSSProperties}>
      <div className="rows" style={{ height: rows.getTotalSize() }}>
        <div className="sheetHead" role="row" aria-rowindex={1} style={{ height: head }} hidden={head === 0}>
          <span role="columnheader" className="who">Person</span>
          <span role="columnheader">Mail</span>
          {matrix ? files.map((f, i) => <span key={i} role="columnheader" className="fileHead" data-turned={files.length > 3 || undefined} title={f.name}><span className="cut">{f.name}</span></span>) : <span role="columnheader">Copies</span>}
          {link && <span role="columnheader">Opened</span>}
          <span role="columnheader" className="unseenText">What can be done</span>
        </div>
        {seen.map((v) => {
          const n = people[v.index]!;
          return (
            <Row key={n} d={d} n={n} index={v.index} top={v.start} height={height} recipient={sheet.people[n]} cells={sheet.row(n)} matrix={matrix} narrow={narrow} active={at[0] === v.index ? at[1] : at[0] >= 0 && v.index === seen[0]?.index && !seen.some((s) => s.index === at[0]) ? at[1] : -1}
              sheet={sheet} open={open} />
          );
        })}
      </div>
      {tip && createPortal(<div className="tip copyTip" role="tooltip" data-below={tip.below || undefined} style={{ left: tip.x, top: tip.y }}>{tip.text}</div>, document.body)}
    </div>
  );
}

/** saidOf is what one mark says. */
export function saidOf(d: Schemas["Distribution"], sheet: Sheet, file: number, n: number): string {
  const r = sheet.people[n];
  return copySaid(d.files?.[file]?.name || `File ${file + 1}`, r?.name || r?.email || `person ${n + 1}`, sheet.cell(file, n), sheet.note(file, n));
}

/** placeOf is the row and column of the mark that something happened to. */
function placeOf(target: EventTarget): [number, number] | undefined {
  const at = target instanceof Element ? target.closest<HTMLElement>("[data-at]")?.dataset.at?.split(":") : undefined;
  return at ? [Number(at[0]), Number(at[1])] : undefined;
}
