import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { useSearchParams } from "wouter";
import { Ask, Button, Dialog, Notice, toast, Trouble } from "../../ui";
import { count } from "../../words";
import { csvOf, importCsv, members, useLists, type List } from "../people/api";
import { Choose } from "../people/choose";
import { NewList } from "../people/lists";
import type { Chosen } from "../people/table";
import { add, blank, type Change, type Draft, type Entry } from "./draft";
import { say } from "./whom";

/** entries are people of the directory as rows. */
const entries = (people: { id?: string; name?: string; email?: string; fields?: Record<string, string> }[], list?: string): Entry[] =>
  people.map((p) => ({ name: p.name ?? "", email: p.email ?? "", fields: p.fields ?? {}, guessed: false, person: p.id, lists: list ? [list] : [] }));

const columnsOf = (people: Entry[]) => [...new Set(people.flatMap((p) => Object.keys(p.fields)))];

/** pickList puts everybody who is in a list into the draft, and takes over how the list goes out where the draft says nothing yet. */
async function pickList(production: string, l: List, change: Change): Promise<string> {
  const people = entries(await members(production, l.id!), l.id);
  let came = "";
  change((d) => {
    const [next, said] = add({ ...d, lists: [...d.lists.filter((x) => x.id !== l.id), { id: l.id!, name: l.name ?? l.id!, whole: true }] }, { people, columns: columnsOf(people) });
    came = say(said.added, said.merged, l.name);
    const usual = blank();
    const taken: string[] = [];
    const policy: Partial<Draft> = {};
    const mode = l.policy?.mode as Draft["mode"] | "" | undefined;
    if (mode && mode !== d.mode && d.mode === usual.mode) (policy.mode = mode), taken.push(mode === "link" ? "a link" : mode === "drive" ? "Google Drive" : "an attachment");
    if (l.policy?.password === "generate" && d.password === usual.password) (policy.password = "generate"), taken.push("passwords");
    if (l.policy?.mark && d.mark === usual.mark) (policy.mark = l.policy.mark), taken.push("its own mark");
    if (taken.length) came += ` As the list says, it goes out with ${taken.join(", ")}.`;
    return { ...next, ...policy };
  });
  return came;
}

/** settled is the draft with only such lists whole as still are what the page shows; the others go out as shown. */
export async function settled(production: string, d: Draft): Promise<Draft> {
  const lists = await Promise.all(
    d.lists.map(async (l) => {
      if (!l.whole) return l;
      const shown = new Map(d.rows.filter((r) => r.lists?.includes(l.id)).map((r) => [r.email, r]));
      // Cannot be told: then what is shown is sent.
      const now = await members(production, l.id).catch(() => []);
      return { ...l, whole: now.length > 0 && now.length === shown.size && now.every((p) => { const r = shown.get(p.email ?? ""); return r && (r.own || r.name === p.name); }) };
    }),
  );
  return { ...d, lists };
}

/** usePicked picks the list that the page's address names: Send to this list. */
export function usePicked(production: string, draft: Draft, change: Change, told: (s: string) => void) {
  const [search, setSearch] = useSearchParams();
  const wanted = search.get("list");
  const lists = useLists(production);
  const take = useCallback(
    async (l: List) => {
      try {
        told(await pickList(production, l, change));
      } catch (e) {
        toast("bad", (e as Error).message);
      }
    },
    [production, change, told],
  );
  const taken = useRef("");
  useEffect(() => {
    if (!wanted || !lists.data || taken.current === wanted) return;
    taken.current = wanted;
    const l = lists.data.find((x) => x.id === wanted);
    if (!l) toast("bad", "There is no such list any more.");
    else if (!draft.lists.some((x) => x.id === l.id)) void take(l);
    // The page is then what it is without: a reload must not pick again what has been changed meanwhile.
    setSearch((s) => (s.delete("list"), s), { replace: true });
  }, [wanted, lists.data]);
  return take;
}

/** Pick chooses saved lists and people, and saves who is on the page as a list. */
export function Pick(p: { production: string; draft: Draft; change: Change; say: (s: string) => void; bad: Set<number> }) {
  const [open, setOpen] = useState(false);
  const [saving, setSaving] = useState(false);
  return (
    <>
      {p.draft.rows.length > 1 && <Button size="small" onClick={() => setSaving(true)}>Save as a list…</Button>}
      <Button size="small" onClick={() => setOpen(true)}>Lists and people…</Button>
      {open && <Picker {...p} onClose={() => setOpen(false)} />}
      {saving && <Save {...p} onClose={() => setSaving(false)} />}
    </>
  );
}

function Picker(p: { production: string; draft: Draft; change: Change; say: (s: string) => void; onClose: () => void }) {
  const lists = useLists(p.production);
  const [wanted, setWanted] = useState<Map<string, List>>(new Map());
  const [chosen, choose] = useState<Chosen>(new Map());
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const n = [...wanted.values()].reduce((n, l) => n + (l.people ?? 0), chosen.size);
  const take = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const said: string[] = [];
      for (const l of wanted.values()) {
        said.push(await pickList(p.production, l, p.change));
        setWanted((w) => new Map([...w].filter(([id]) => id !== l.id)));
      }
      if (chosen.size)
        p.change((d) => {
          const people = entries([...chosen.values()]);
          const [next, came] = add(d, { people, columns: columnsOf(people) });
          said.push(say(came.added, came.merged));
          return next;
        });
      p.say(said.join(" "));
      p.onClose();
    } catch (e) {
      setError(e as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title="Lists and people" open onClose={p.onClose} wide>
      {lists.data && lists.data.length > 0 && (
        <div className="pickLists" role="group" aria-label="Lists">
          {lists.data.map((l) => (
            <label key={l.id}>
              <input type="checkbox" checked={wanted.has(l.id!)} disabled={!l.people} onChange={() => setWanted((w) => { const next = new Map(w); if (!next.delete(l.id!)) next.set(l.id!, l); return next; })} />
              <span className="grow cut" title={l.name}>{l.name}</span>
              <span className="faint number">{count(l.people ?? 0, "person", "people")}</span>
            </label>
          ))}
        </div>
      )}
      <Choose production={p.production} chosen={chosen} choose={choose} />
      {error && <Trouble error={error} />}
      <footer>
        <Button onClick={p.onClose}>Leave it</Button>
        <Button look="main" busy={busy} disabled={n === 0} onClick={() => void take()}>{n ? `Add ${count(n, "person", "people")}` : "Add"}</Button>
      </footer>
    </Dialog>
  );
}

/** Save keeps who is on the page as a list of the directory. */
function Save(p: { production: string; draft: Draft; bad: Set<number>; onClose: () => void; say: (s: string) => void }) {
  const queries = useQueryClient();
  const good = p.draft.rows.filter((r) => !p.bad.has(r.id));
  const left = p.draft.rows.length - good.length;
  if (good.length === 0) return <Ask title="Nobody can be saved yet" open onClose={p.onClose} yes="All right" act={async () => undefined}><p>Every address needs mending first.</p></Ask>;
  return (
    <NewList production={p.production} title={`Save ${count(good.length, "person", "people")} as a list`} yes="Save" onClose={p.onClose}
      made={async (l) => {
        const came = await importCsv(p.production, csvOf(good, p.draft.columns), l.id);
        for (const key of ["people", "members"]) void queries.invalidateQueries({ queryKey: [key, p.production] });
        const first = came.problems?.[0];
        p.say(`Saved: ${count(came.added_to_list ?? 0, "person is", "people are")} in the list ${l.name}.${came.refused ? ` ${count(came.refused, "person was", "people were")} not taken: ${first?.message ?? ""}.` : ""}`);
      }}>
      {left > 0 && <Notice tone="wait">{count(left, "person who needs mending is", "people who need mending are")} left out.</Notice>}
      <p className="soft">They are saved among the people, too. Whom the directory knows by their address gets the name and fields that stand here.</p>
    </NewList>
  );
}
