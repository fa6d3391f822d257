import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useLayoutEffect, useRef, useState, type ReactNode } from "react";

/** Rows draws a table's body; of more than 200 rows those in sight only. All rows of such a table are as high as `height` says, in pixels. */
export function Rows<T>({ of, height, columns, children }: { of: T[]; height: number; columns: number; children: (row: T) => ReactNode }) {
  return of.length > 200 ? <Many of={of} height={height} columns={columns}>{children}</Many> : <tbody>{of.map(children)}</tbody>;
}

function Many<T>({ of, height, columns, children }: { of: T[]; height: number; columns: number; children: (row: T) => ReactNode }) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop(body.current ? body.current.getBoundingClientRect().top + scrollY : 0), []);
  const seen = useWindowVirtualizer({ count: of.length, estimateSize: () => height, overscan: 20, scrollMargin: top });
  const items = seen.getVirtualItems();
  const [first, last] = [items[0], items.at(-1)];
  const gap = (px: number) => px > 0 && <tr aria-hidden><td colSpan={columns} style={{ height: px, padding: 0, border: 0 }} /></tr>;
  return (
    <tbody ref={body}>
      {gap((first?.start ?? top) - top)}
      {items.map((i) => children(of[i.index]!))}
      {gap(last ? seen.getTotalSize() - (last.end - top) : 0)}
    </tbody>
  );
}
