import { useQueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { Link } from "wouter";
import { Area, Ask, Button, Card, Choice, Dialog, Empty, Field, Input, Loaded, Menu, toast, Trouble } from "../../ui";
import { count } from "../../words";
import { to } from "../../routes";
import { createList, deleteList, updateList, useLists, type List } from "./api";

/** policyWords says how a list goes out, where it says anything. */
export function policyWords(l: List): string {
  const modes: Record<string, string> = { attachment: "as attachment", link: "by link", drive: "in Google Drive" };
  return [l.policy?.mode && (modes[l.policy.mode] ?? l.policy.mode), l.policy?.password === "generate" ? "with passwords" : l.policy?.password === "none" ? "without passwords" : "", l.policy?.mark && "with a mark of its own"].filter(Boolean).join(", ");
}

/** Doing is what is being done to a list. */
export type Doing = { what: "rename" | "policy" | "delete"; list: List };

/** Lists is a production's lists, beside its people. */
export function Lists({ production, may, send }: { production: string; may: boolean; send: (list: string) => void }) {
  const lists = useLists(production);
  const [making, setMaking] = useState(false);
  const [doing, setDoing] = useState<Doing>();
  return (
    <Card bare title="Lists" actions={may && <Button size="small" onClick={() => setMaking(true)}>New list</Button>}>
      <Loaded query={lists}>
        {(all) =>
          all.length === 0 ? (
            <Empty title="No list yet">A list is people whom you send to together, such as the cast, or everybody on set.</Empty>
          ) : (
            <ul className="lists">
              {all.map((l) => (
                <li key={l.id}>
                  <span className="grow">
                    <Link href={to.list(production, l.id!)} className="cut" style={{ display: "block" }} title={l.name}>{l.name}</Link>
                    <span className="faint">{[count(l.people ?? 0, "person", "people"), policyWords(l)].filter(Boolean).join(", ")}</span>
                  </span>
                  {may && (
                    <Menu label="⋯" name={`More about ${l.name}`} items={[
                      { text: "Send to it", act: () => send(l.id!), disabled: !l.people },
                      { text: "Rename…", act: () => setDoing({ what: "rename", list: l }) },
                      { text: "How it goes out…", act: () => setDoing({ what: "policy", list: l }) },
                      null,
                      { text: "Delete…", act: () => setDoing({ what: "delete", list: l }), look: "bad" },
                    ]} />
                  )}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      {making && <NewList production={production} onClose={() => setMaking(false)} />}
      <ListDialogs production={production} doing={doing} onClose={() => setDoing(undefined)} />
    </Card>
  );
}

/** Named asks for a list's name. */
function Named(p: { title: string; yes: string; name: string; onClose: () => void; act: (name: string) => Promise<unknown>; children?: ReactNode }) {
  const [name, setName] = useState(p.name);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const act = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await p.act(name.trim());
      p.onClose();
    } catch (e) {
      setError(e as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={p.title} open onClose={p.onClose}>
      <form className="stack" onSubmit={(e) => (e.preventDefault(), void act())}>
        {p.children}
        <Field label="Name">{(a) => <Input {...a} autoFocus value={name} maxLength={100} autoComplete="off" onChange={(e) => setName(e.target.value)} />}</Field>
        {error && <Trouble error={error} />}
        <footer>
          <Button onClick={p.onClose}>Leave it</Button>
          <Button type="submit" look="main" busy={busy} disabled={!name.trim()}>{p.yes}</Button>
        </footer>
      </form>
    </Dialog>
  );
}

/** NewList makes a list; made is told of it before the dialog closes, and what goes wrong there stays in it. */
export function NewList(p: { production: string; onClose: () => void; title?: string; yes?: string; made?: (l: List) => Promise<unknown>; children?: ReactNode }) {
  const queries = useQueryClient();
  return (
    <Named title={p.title ?? "New list"} yes={p.yes ?? "Make it"} name="" onClose={p.onClose} act={async (name) => {
      const l = await createList(p.production, name);
      await p.made?.(l);
      void queries.invalidateQueries({ queryKey: ["lists", p.production] });
      if (!p.made) toast("good", `The list ${l.name} is there.`);
    }}>
      {p.children}
    </Named>
  );
}

/** ListDialogs is what a list's menu opens. gone is called when it has been deleted. */
export function ListDialogs(p: { production: string; doing?: Doing; onClose: () => void; gone?: () => void }) {
  const queries = useQueryClient();
  const stale = () => void queries.invalidateQueries({ queryKey: ["lists", p.production] });
  const d = p.doing;
  if (!d) return null;
  if (d.what === "rename")
    return <Named title={`Rename ${d.list.name}`} yes="Rename" name={d.list.name ?? ""} onClose={p.onClose} act={async (name) => (await updateList(p.production, d.list, { name }), stale())} />;
  if (d.what === "policy") return <PolicyForm production={p.production} list={d.list} onClose={p.onClose} saved={stale} />;
  return (
    <Ask title={`Delete ${d.list.name}?`} open onClose={p.onClose} yes="Delete the list" look="bad" act={async () => {
      await deleteList(p.production, d.list.id!);
      stale();
      toast("good", `The list ${d.list.name} is deleted.`);
      p.gone?.();
    }}>
      <p>{d.list.people === 1 ? "The one person in it stays" : `The ${count(d.list.people ?? 0, "person", "people")} in it stay`} among the people. What was sent to the list remains sent.</p>
    </Ask>
  );
}

/** PolicyForm says how what is sent to a list goes out, unless whoever sends says otherwise. */
function PolicyForm(p: { production: string; list: List; onClose: () => void; saved: () => void }) {
  const [mode, setMode] = useState(p.list.policy?.mode ?? "");
  const [password, setPassword] = useState(p.list.policy?.password ?? "");
  const [mark, setMark] = useState(p.list.policy?.mark ?? "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const save = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await updateList(p.production, p.list, { policy: mode || password || mark.trim() ? { mode, password, mark: mark.trim() ? mark : "" } : undefined });
      p.saved();
      p.onClose();
    } catch (e) {
      setError(e as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={`How ${p.list.name} goes out`} open onClose={p.onClose}>
      <form className="stack" onSubmit={(e) => (e.preventDefault(), void save())}>
        <p className="soft">Send begins with this when the list is picked; whoever sends can still say otherwise.</p>
        <Choice label="Copies come as" value={mode} options={[["", "As is usual"], ["attachment", "Attachment"], ["link", "Link"], ...(mode === "drive" ? [["drive", "Google Drive"] as [string, string]] : [])]} onChange={setMode} />
        <Choice label="Password" value={password} options={[["", "As is usual"], ["none", "None"], ["generate", "One for each"]]} onChange={setPassword} />
        <Field label="Text of the mark" hint="Empty: as is usual. What stands in braces is each person's own: {name}, {email}, {role}.">
          {(a) => <Area {...a} rows={2} value={mark} maxLength={1000} placeholder={"{name}\n{email}"} onChange={(e) => setMark(e.target.value)} />}
        </Field>
        {error && <Trouble error={error} />}
        <footer>
          <Button onClick={p.onClose}>Leave it</Button>
          <Button type="submit" look="main" busy={busy}>Save</Button>
        </footer>
      </form>
    </Dialog>
  );
}
