// What is known, before anything is sent, of what would become of a draft.
import { count } from "../../words";
import type { Draft, RowTrouble } from "./draft";
import { wrongDeadline } from "./how";
import { wrongMark, wrongPages } from "./mark";
import { fieldsIn, standardFields } from "./draft";
import { aboutTheMark } from "./upload";

/** Finding is one thing to know: it refuses sending, warns, or only tells. */
export interface Finding {
  code: string;
  severity: "refuses" | "warns" | "tells";
  sentence: string;
  whom?: string;
  /** What can be done about it here. */
  act?: { text: string; change: Partial<Draft> };
}

export const together = (d: Draft) => d.files.reduce((n, f) => n + Number(f.size ?? 0), 0);

/** look finds what can be told without the server. */
export function look(d: Draft, troubles: Map<number, RowTrouble>, uploads: { state: string }[]): Finding[] {
  const out: Finding[] = [];
  const add = (severity: Finding["severity"], code: string, sentence: string, more: Partial<Finding> = {}) => out.push({ code, severity, sentence, ...more });
  const moving = uploads.filter((u) => u.state !== "failed").length;
  const failed = uploads.length - moving;
  if (d.files.length === 0 && moving === 0) add("refuses", "FILES_MISSING", "There is no file yet.");
  if (moving > 0) add("refuses", "FILES_MOVING", `${count(moving, "file is", "files are")} still being uploaded.`);
  if (failed > 0) add("refuses", "FILES_NOT_TAKEN", `${count(failed, "file was", "files were")} not taken: try again, or remove ${failed === 1 ? "it" : "them"}.`);
  const refused = d.files.filter((f) => f.verdict === "refused" && !aboutTheMark(f.error_code));
  if (refused.length > 0)
    add("refuses", "FILE_REFUSED", `${refused.map((f) => f.name).join(", ")} cannot be marked.`, { act: { text: "Send without", change: { files: d.files.filter((f) => !refused.includes(f)) } } });
  if (d.files.some((f) => f.verdict === "unknown" || f.verdict === "")) add("warns", "FILE_UNKNOWN", "Not all files have been looked into yet.");
  if (d.rows.length === 0) add("refuses", "RECIPIENTS_MISSING", "There is nobody to send to yet.");
  const bad = [...troubles.values()].filter((t) => t.kind === "bad").length;
  const odd = troubles.size - bad;
  if (bad > 0) add("refuses", "RECIPIENT_INVALID", `${count(bad, "person needs", "people need")} mending.`);
  if (odd > 0) add("warns", "ADDRESS_ODD", `${count(odd, "address looks", "addresses look")} mistyped.`);
  if (d.rows.length > 10_000) add("refuses", "TOO_MANY_RECIPIENTS", "One sending goes to at most 10,000 people: split it.");
  if (d.files.length > 100) add("refuses", "TOO_MANY_FILES", "One sending has at most 100 files: split it.");
  const mark = wrongMark(d) ?? (wrongPages(d.pages) && "The pages of the mark are not written as they should be.");
  if (mark) add("refuses", "MARK_BAD", mark);
  const late = wrongDeadline(d);
  if (late) add("refuses", "DEADLINE_OVER", late);
  if (d.columns.length > 32) add("refuses", "TOO_MANY_FIELDS", "There are more than 32 columns beside name and address: remove some.");
  const named = fieldsIn(d.mark).filter((f) => d.columns.includes(f) || ["company", "role"].includes(f));
  for (const f of new Set(named)) {
    const without = d.rows.filter((r) => !r.fields[f]);
    if (without.length > 0 && d.rows.length > 0) add("tells", "FIELD_EMPTY", `${count(without.length, "person has", "people have")} no ${f}; the mark stays without it for them.`);
  }
  if (named.length + fieldsIn(d.mark).filter((f) => standardFields.includes(f)).length === 0 && !mark) add("warns", "MARK_SAME", "The mark is the same for everybody: it does not tell whose copy it is.", { act: { text: "Use name and address", change: { mark: "{name}\n{email}" } } });
  const guessed = d.rows.filter((r) => r.guessed).length;
  if (guessed > 0) add("tells", "NAME_GUESSED", `${count(guessed, "name is", "names are")} made of the address.`);
  return out;
}
