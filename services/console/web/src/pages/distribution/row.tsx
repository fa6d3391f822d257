import { memo } from "react";
import type { Schemas } from "../../api/client";
import { to } from "../../routes";
import { Bar, State, Time } from "../../ui";
import { accessStates, count, deliveryStates, number } from "../../words";
import { itemParts } from "../distributions";
import { Glyph } from "./glyph";
import { saidOf } from "./people";
import { deliverySaid } from "./said";
import { itemStateNames, type Recipient, type Sheet } from "./sheet";

interface RowProps {
  d: Schemas["Distribution"];
  n: number;
  index: number;
  top: number;
  height: number;
  recipient: Recipient | undefined;
  /** The states of all copies as digits: the row is drawn again only when they, or the person, changed. */
  cells: string;
  matrix: boolean;
  narrow: boolean;
  /** The column that the Tab key leads to, -1 for none of this row. */
  active: number;
  sheet: Sheet;
  open: (person: number) => void;
}

/** Row is one person and their copies. Its links are plain, hundreds of them are in sight at once: the grid follows them. */
export const Row = memo(
  function Row(p: RowProps) {
    const { d, n, recipient: r } = p;
    const place = { transform: `translateY(${p.top}px)`, height: p.height };
    if (!r)
      return (
        <div className="sheetRow" role="row" aria-rowindex={p.index + 2} style={place}>
          <span className="who" role="rowheader"><span className="bone" style={{ width: `${45 + ((n * 37) % 40)}%` }} /></span>
          <span role="gridcell"><span className="bone" style={{ width: "4rem" }} /></span>
        </div>
      );
    const story = to.story(d.production!, d.id!, `r${n + 1}`);
    const name = r.name || r.email;
    return (
      <div className="sheetRow" role="row" aria-rowindex={p.index + 2} style={place}>
        <span className="who" role="rowheader">
          <button type="button" className="link name cut" onClick={() => p.open(n)} title={`${r.name}: what was sent, and what can be done`}>{name}</button>
          <span className="faint cut" title={r.email}>{r.email}</span>
        </span>
        <span role="gridcell" className="mail" title={deliverySaid(r.delivery)}>
          {r.delivery ? <State of={deliveryStates} is={r.delivery.state} /> : <span className="faint">none</span>}
        </span>
        {p.matrix ? <Cells {...p} /> : <Copies of={r.items} />}
        {d.mode !== "attachment" && <Opened of={r.delivery} />}
        <span role="gridcell" className="does">
          <a href={story} className="button" data-size="small" data-look="quiet" aria-label={`Why: the story of ${name}`}>Why?</a>
          <button type="button" className="button" data-size="small" data-look="quiet" aria-label={`Actions for ${name}`} onClick={() => p.open(n)}>⋯</button>
        </span>
      </div>
    );
  },
  (a, b) => a.recipient === b.recipient && a.cells === b.cells && a.top === b.top && a.height === b.height && a.index === b.index && a.active === b.active && a.matrix === b.matrix && a.narrow === b.narrow && a.d.mode === b.d.mode,
);

function Cells({ d, n, index, cells, active, sheet }: RowProps) {
  return (
    <>
      {Array.from(cells, (c, f) => (
        <span key={f} role="gridcell" className="copy">
          <a href={to.story(d.production!, d.id!, `i${f + 1}.${n + 1}`)} data-at={`${index}:${f}`} tabIndex={active === f ? 0 : -1} aria-label={saidOf(d, sheet, f, n)}>
            <Glyph state={itemStateNames[Number(c)]!} />
          </a>
        </span>
      ))}
    </>
  );
}

function Copies({ of: n }: { of: Schemas["ItemCounts"] | null | undefined }) {
  const total = n?.total ?? 0;
  const text = `${number(n?.done ?? 0)} of ${count(total, "copy", "copies")} sent${n?.failed ? `, ${number(n.failed)} failed` : ""}${n?.cancelled ? `, ${number(n.cancelled)} cancelled` : ""}`;
  return (
    <span role="gridcell" className="copies">
      <Bar label={text} parts={itemParts(n)} />
      <span className="faint number cut">{text}</span>
    </span>
  );
}

/** Opened says what somebody did with their link, and whether it still opens. */
function Opened({ of: d }: { of: Schemas["Delivery"] | null | undefined }) {
  const over = d?.access === "revoked" || d?.access === "expired";
  return (
    <span role="gridcell" className="opened">
      {d?.downloaded_at ? <span>Downloaded <Time at={d.downloaded_at} /></span> : d?.viewed_at ? <span>Opened <Time at={d.viewed_at} /></span> : <span className="faint">{d?.access ? "Not opened" : "No link yet"}</span>}
      {over && <span className="faint">{accessStates[d!.access!]?.text}</span>}
    </span>
  );
}
