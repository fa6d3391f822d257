import { type RefObject } from "react";
import { Area, Button, Card, Choice, Field, Input } from "../../ui";
import { defaultMark, fieldsIn, standardFields, type Change, type Draft } from "./draft";

const layouts: [string, string][] = [["diagonal", "Diagonal"], ["tiled", "Tiled"], ["header", "Top"], ["footer", "Foot"], ["corners", "Corners"]];

/** What the field of the colour begins with: a colour of documents, not of this page. */
const firstColour = "#808080";

/** What fields are called on the chips that put them into the mark. */
const says: Record<string, string> = { name: "Name", email: "Address", company: "Company", role: "Role", date: "Date", time: "Time", copy: "Copy's number", production: "Production", title: "Title", file: "File's name" };

/** insert puts a field into the mark where the cursor stands, else on a line of its own at the end. */
export function insert(field: string, draft: Draft, change: Change, area?: HTMLTextAreaElement | null) {
  const text = `{${field}}`;
  // Where the cursor was before the button was pressed; nowhere, if nobody has been in the field.
  if (!area || area.dataset.been === undefined) {
    change({ mark: draft.mark ? `${draft.mark}${draft.mark.endsWith("\n") || draft.mark.endsWith(" ") ? "" : "\n"}${text}` : text });
    return;
  }
  const { selectionStart: from, selectionEnd: to } = area;
  change({ mark: draft.mark.slice(0, from) + text + draft.mark.slice(to) });
  requestAnimationFrame(() => (area.focus(), area.setSelectionRange(from + text.length, from + text.length)));
}

/** wrongMark says what is wrong with a mark's text, as far as it can be told here. */
export function wrongMark(d: Draft): string | undefined {
  const text = d.mark.replaceAll("{{", "");
  if (/\{[^}]*$/m.test(text)) return "A { stands without its }: write {name}, or {{ for a brace itself.";
  if (d.mark.split("\n").filter((l) => l.trim()).length > 6) return "A mark has at most six lines.";
  const known = new Set([...standardFields, ...d.columns]);
  const unknown = fieldsIn(d.mark).find((f) => !known.has(f));
  if (unknown !== undefined) return unknown === "" ? "There is nothing between { and }." : `Nobody has the field {${unknown}}.`;
  return undefined;
}

/** wrongPages says what is wrong with a list of pages. */
export const wrongPages = (s: string) => (s.trim() === "" || /^\s*\d+\s*(-\s*\d*\s*)?(,\s*\d+\s*(-\s*\d*\s*)?)*$/.test(s) ? undefined : "Write pages and ranges counted from 1, such as 1-3,7,10-");

/** Mark is what stands on every page, and what it looks like. */
export function Mark({ draft: d, change, area }: { draft: Draft; change: Change; area: RefObject<HTMLTextAreaElement | null> }) {
  const fields = [...new Set(["name", "email", ...d.columns, "company", "role", "date", "time", "copy", "title", "file", "production"])];
  const plain = d.mark === defaultMark && d.layout === "diagonal" && !d.color && !d.opacity && !d.size && !d.pages;
  return (
    <Card title="The mark" actions={!plain && <Button size="small" look="quiet" onClick={() => change({ mark: defaultMark, layout: "diagonal", color: "", opacity: 0, size: 0, pages: "" })}>As usual</Button>}>
      <div className="stack">
        <Field label="Text on every page" wrong={wrongMark(d)} hint="What stands in braces is each person's own.">
          {(a) => <Area {...a} ref={area} onFocus={(e) => (e.currentTarget.dataset.been = "")} rows={Math.max(2, d.mark.split("\n").length)} value={d.mark} spellCheck={false} onChange={(e) => change({ mark: e.target.value })} />}
        </Field>
        <div className="row" role="group" aria-label="Put a field into the text">
          {fields.map((f) => (
            <Button key={f} size="small" onMouseDown={(e) => e.preventDefault()} onClick={() => insert(f, d, change, area.current)} title={`Put {${f}} into the text`}>
              <span aria-hidden className="faint">+</span> {says[f] ?? f}
            </Button>
          ))}
        </div>
        <Choice label="Layout" value={d.layout} options={layouts} onChange={(layout) => change({ layout })} />
        <div className="sendLook">
          <Field label="Colour">
            {(a) => (
              <span className="row" style={{ flexWrap: "nowrap" }}>
                <input {...a} type="color" className="input sendColour" value={d.color || firstColour} onChange={(e) => change({ color: e.target.value })} />
                {d.color ? <Button size="small" look="quiet" onClick={() => change({ color: "" })}>Grey</Button> : <span className="faint">grey that shows on every ground</span>}
              </span>
            )}
          </Field>
          <Field label={`Opacity: ${d.opacity ? `${d.opacity} %` : "the layout's own"}`}>
            {(a) => <input {...a} type="range" min={0} max={100} step={5} value={d.opacity} aria-valuetext={d.opacity ? `${d.opacity} percent` : "the layout's own"} onChange={(e) => change({ opacity: Number(e.target.value) })} />}
          </Field>
          <Field label={`Size: ${d.size ? `${d.size} pt` : "fitted to the page"}`}>
            {(a) => <input {...a} type="range" min={0} max={144} step={2} value={d.size} aria-valuetext={d.size ? `${d.size} points` : "fitted to the page"} onChange={(e) => change({ size: Number(e.target.value) })} />}
          </Field>
          <Field label="Pages with the large mark" wrong={wrongPages(d.pages)} hint="Empty: all. A small line is on every page.">
            {(a) => <Input {...a} value={d.pages} placeholder="1-3,7,10-" onChange={(e) => change({ pages: e.target.value })} />}
          </Field>
        </div>
      </div>
    </Card>
  );
}
