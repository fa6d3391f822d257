import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { ApiError } from "../api/client";
import { maySend, useSession } from "../api/session";
import { to } from "../routes";
import { Bones, Button, Card, Dialog, Empty, Go, Menu, PageHead, toast, Trouble } from "../ui";
import { count } from "../words";
import { addTo, takeOut, useList, useLists, useMembers, type Person } from "./people/api";
import { Choose } from "./people/choose";
import { Import } from "./people/import";
import { ListDialogs, policyWords, type Doing } from "./people/lists";
import { PersonForm } from "./people/person";
import { Table, type Chosen } from "./people/table";
import "./people/people.css";

/** List is who is in a list. */
export default function List({ production, list: id }: { production: string; list: string }) {
  const session = useSession();
  const may = maySend(session);
  const [, go] = useLocation();
  const queries = useQueryClient();
  const list = useList(production, id);
  const lists = useLists(production);
  const people = useMembers(production, id);
  const [chosen, choose] = useState<Chosen>(new Map());
  const [doing, setDoing] = useState<Doing>();
  const [adding, setAdding] = useState(false);
  const [importing, setImporting] = useState(false);
  const [person, setPerson] = useState<Person>();
  const stale = () => {
    for (const key of ["lists", "members"]) void queries.invalidateQueries({ queryKey: [key, production] });
  };
  const remove = async (who: Person[]) => {
    try {
      await takeOut(production, id, who.map((x) => x.id!));
      choose(new Map());
      stale();
      toast("good", `${who.length === 1 ? `${who[0]!.name} is` : `${who.length} people are`} taken out of the list.`, {
        text: "Undo",
        act: () => void addTo(production, id, who.map((x) => x.id!)).then(stale, (e: Error) => toast("bad", e.message)),
      });
    } catch (e) {
      toast("bad", (e as Error).message);
    }
  };
  const l = list.data;
  const above = <Link href={to.people(production)}>People and lists</Link>;
  if (!l)
    return (
      <>
        <PageHead title="List" above={above} />
        {list.error instanceof ApiError && list.error.status === 404 ? (
          <Card><Empty title="There is no such list" action={<Go to={to.people(production)}>To people and lists</Go>}>It may have been deleted. Its people are still there.</Empty></Card>
        ) : list.error ? <Trouble error={list.error} again={() => void list.refetch()} /> : <Bones lines={6} />}
      </>
    );
  return (
    <>
      <PageHead title={l.name ?? id} above={above} below={[count(l.people ?? 0, "person", "people"), policyWords(l) && `goes out ${policyWords(l)}`].filter(Boolean).join(", ")}
        actions={may && (
          <>
            <Menu label="⋯" name={`More about ${l.name}`} items={[
              { text: "Rename…", act: () => setDoing({ what: "rename", list: l }) },
              { text: "How it goes out…", act: () => setDoing({ what: "policy", list: l }) },
              { text: "Import into it…", act: () => setImporting(true) },
              null,
              { text: "Delete…", act: () => setDoing({ what: "delete", list: l }), look: "bad" },
            ]} />
            <Button onClick={() => setAdding(true)}>Add people…</Button>
            {(l.people ?? 0) > 0 && <Go to={`${to.send(production)}?list=${id}`} look="main">Send to this list</Go>}
          </>
        )} />
      {list.error && <Trouble error={list.error} again={() => void list.refetch()} />}
      <Card bare>
        {may && (
          <div className="peopleDo" aria-live="polite">
            {chosen.size === 0 ? (
              <span className="faint">In the order in which they came into the list.</span>
            ) : (
              <>
                <span className="number">{count(chosen.size, "person", "people")} chosen</span>
                <Button size="small" onClick={() => void remove([...chosen.values()])}>Take out of the list</Button>
                <Button size="small" look="quiet" onClick={() => choose(new Map())}>Choose nobody</Button>
              </>
            )}
          </div>
        )}
        <Table label={`People in ${l.name}`} people={people} chosen={may ? chosen : undefined} choose={may ? choose : undefined} open={may ? setPerson : undefined}
          actions={may ? (x) => <Button size="small" look="quiet" aria-label={`Take ${x.name} out of the list`} onClick={() => void remove([x])}>✕</Button> : undefined}
          empty={<Empty title="Nobody is in this list" action={may && <Button look="main" onClick={() => setAdding(true)}>Add people</Button>}>Pick people who are saved, or import them from a CSV file.</Empty>} />
      </Card>
      {adding && <Add production={production} list={id} name={l.name ?? ""} onClose={() => setAdding(false)} paste={() => (setAdding(false), setImporting(true))} done={stale} />}
      {importing && <Import production={production} lists={lists.data ?? [l]} list={id} onClose={() => setImporting(false)} />}
      {person && <PersonForm key={person.id} production={production} person={person} onClose={() => setPerson(undefined)} />}
      <ListDialogs production={production} doing={doing} onClose={() => setDoing(undefined)} gone={() => go(to.people(production))} />
    </>
  );
}

/** Add puts people of the directory into the list. */
function Add(p: { production: string; list: string; name: string; onClose: () => void; paste: () => void; done: () => void }) {
  const [chosen, choose] = useState<Chosen>(new Map());
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const add = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const n = await addTo(p.production, p.list, [...chosen.keys()]);
      const there = chosen.size - n;
      toast("good", `${count(n, "person", "people")} came into ${p.name}${there ? `; ${there} ${there === 1 ? "was" : "were"} in it already` : ""}.`);
      p.done();
      p.onClose();
    } catch (e) {
      setError(e as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Add people to ${p.name}`} open onClose={p.onClose} wide>
      <Choose production={p.production} chosen={chosen} choose={choose} />
      {error && <Trouble error={error} />}
      <footer>
        <Button look="quiet" onClick={p.paste}>Paste or import others…</Button>
        <span className="grow" />
        <Button onClick={p.onClose}>Leave it</Button>
        <Button look="main" busy={busy} disabled={chosen.size === 0} onClick={() => void add()}>{chosen.size ? `Add ${count(chosen.size, "person", "people")}` : "Add"}</Button>
      </footer>
    </Dialog>
  );
}
