import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, type ReactNode } from "react";
import { Button, Loaded } from "../../ui";
import { count } from "../../words";
import type { People, Person } from "./api";

/** Chosen are people with a check mark, by their ids. */
export type Chosen = Map<string, Person>;

export function toggled(chosen: Chosen, p: Person): Chosen {
  const next = new Map(chosen);
  if (!next.delete(p.id!)) next.set(p.id!, p);
  return next;
}

/** fieldsOf says somebody's further fields in a line. */
export const fieldsOf = (p: Person) => Object.entries(p.fields ?? {}).filter(([, v]) => v).map(([k, v]) => (k === "role" || k === "company" ? v : `${k}: ${v}`)).join(", ");

/** Table lists people, however many: rows are drawn and fetched as they come into sight. */
export function Table(p: {
  label: string;
  people: People;
  chosen?: Chosen;
  choose?: (next: Chosen) => void;
  open?: (p: Person) => void;
  actions?: (p: Person) => ReactNode;
  empty: ReactNode;
  low?: boolean;
}) {
  return <Loaded query={p.people} lines={8}>{(pages) => <Rows {...p} list={pages.pages.flatMap((x) => x.people ?? [])} />}</Loaded>;
}

function Rows({ label, people, list, chosen, choose, open, actions, empty, low }: Parameters<typeof Table>[0] & { list: Person[] }) {
  const frame = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({ count: list.length, getScrollElement: () => frame.current, estimateSize: () => 52, overscan: 10 });
  const items = virtual.getVirtualItems();
  const last = items[items.length - 1]?.index ?? 0;
  const { hasNextPage, isFetchingNextPage, fetchNextPage, isError } = people;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && !isError && last >= list.length - 40) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isError, fetchNextPage, last, list.length]);
  if (list.length === 0 && !hasNextPage) return <>{empty}</>;
  const all = list.length > 0 && list.every((x) => chosen?.has(x.id!));
  return (
    <div className="people" role="table" aria-label={label} aria-rowcount={hasNextPage ? -1 : list.length + 1} aria-busy={people.isFetching} data-low={low || undefined} data-choose={choose ? true : undefined}>
      <div className="peopleFrame" ref={frame} tabIndex={-1}>
      <div className="peopleRow peopleHead" role="row">
        {choose && chosen && (
          <span role="columnheader">
            <input type="checkbox" aria-label={all ? "Choose nobody" : "Choose all that are listed"} checked={all}
              ref={(el) => { if (el) el.indeterminate = !all && chosen.size > 0; }} onChange={() => choose(all ? new Map() : new Map(list.map((x) => [x.id!, x])))} />
          </span>
        )}
        <span role="columnheader">Name</span>
        <span role="columnheader">Address</span>
        <span role="columnheader" className="peopleMore">For the mark</span>
        <span role="columnheader" className="right faint number">{hasNextPage ? `${list.length}+` : count(list.length, "person", "people")}</span>
      </div>
        <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="rowgroup">
          {items.map((v) => {
            const x = list[v.index]!;
            return (
              <div key={x.id} className="peopleRow" role="row" aria-rowindex={v.index + 2} style={{ position: "absolute", insetInline: 0, height: v.size, transform: `translateY(${v.start}px)` }}>
                {choose && chosen && <span role="cell"><input type="checkbox" aria-label={`Choose ${x.name}`} checked={chosen.has(x.id!)} onChange={() => choose(toggled(chosen, x))} /></span>}
                <span role="cell" className="cut" title={x.name}>{open ? <button type="button" className="link" onClick={() => open(x)}>{x.name}</button> : x.name}</span>
                <span role="cell" className="cut soft peopleAddress" title={x.email}>{x.email}</span>
                <span role="cell" className="cut faint peopleMore" title={fieldsOf(x)}>{fieldsOf(x)}</span>
                <span role="cell" className="right">{actions?.(x)}</span>
              </div>
            );
          })}
        </div>
        {isFetchingNextPage && <p className="faint peopleNext" role="status">More are coming…</p>}
        {isError && hasNextPage && <p className="peopleNext"><Button size="small" onClick={() => void fetchNextPage()}>Try again</Button></p>}
      </div>
    </div>
  );
}
