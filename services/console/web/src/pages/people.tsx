import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation, useSearchParams } from "wouter";
import { maySend, useSession } from "../api/session";
import { to } from "../routes";
import { Ask, Button, Card, Empty, Input, Menu, PageHead, toast } from "../ui";
import { count } from "../words";
import { addTo, deletePerson, useLists, usePeople, type Person } from "./people/api";
import { Import } from "./people/import";
import { Lists, NewList } from "./people/lists";
import { PersonForm } from "./people/person";
import { Table, type Chosen } from "./people/table";
import { useSettled } from "../ui/settled";
import "./people/people.css";

/** People is whom a production sends to, and the lists that they are in. */
export default function People({ production }: { production: string }) {
  const session = useSession();
  const may = maySend(session);
  const queries = useQueryClient();
  const [, go] = useLocation();
  const [search, setSearch] = useSearchParams();
  const [q, setQ] = useState(search.get("q") ?? "");
  const settled = useSettled(q.trim(), 250);
  const people = usePeople(production, settled);
  const lists = useLists(production);
  const [chosen, choose] = useState<Chosen>(new Map());
  const [form, setForm] = useState<{ person?: Person }>();
  const [gone, setGone] = useState<Person[]>([]);
  const [listing, setListing] = useState(false);
  const importing = search.has("import");
  const query = (change: Record<string, string | undefined>) =>
    setSearch((s) => {
      for (const [k, v] of Object.entries(change)) v === undefined ? s.delete(k) : s.set(k, v);
      return s;
    }, { replace: true });
  useEffect(() => {
    if (settled !== (search.get("q") ?? "")) query({ q: settled || undefined });
  }, [settled]);
  const ids = [...chosen.keys()];
  const put = async (list: string, name: string) => {
    try {
      const n = await addTo(production, list, ids);
      toast("good", `${count(n, "person", "people")} came into ${name}${n < ids.length ? `; ${ids.length - n} ${ids.length - n === 1 ? "was" : "were"} in it already` : ""}.`);
      choose(new Map());
      for (const key of ["lists", "members"]) void queries.invalidateQueries({ queryKey: [key, production] });
    } catch (e) {
      toast("bad", (e as Error).message);
    }
  };
  const add = may && (
    <>
      <Button onClick={() => query({ import: "" })}>Import…</Button>
      <Button look="main" onClick={() => setForm({})}>Add a person</Button>
    </>
  );
  return (
    <>
      <PageHead title="People and lists" actions={add} />
      <div className="peoplePage">
        <Card bare title={<Input type="search" aria-label="Find people" placeholder="Find by the beginning of a name or an address" value={q} onChange={(e) => setQ(e.target.value)} />}>
          {may && (
            <div className="peopleDo" aria-live="polite">
              {chosen.size === 0 ? (
                <span className="faint">Choose people to put them into a list.</span>
              ) : (
                <>
                  <span className="number">{count(chosen.size, "person", "people")} chosen</span>
                  <Menu label="Put into a list ▾" items={[
                    ...(lists.data ?? []).map((l) => ({ text: l.name, act: () => void put(l.id!, l.name!) })),
                    ...(lists.data?.length ? [null] : []),
                    { text: "A new list…", act: () => setListing(true) },
                  ]} />
                  <Button size="small" look="quiet" onClick={() => setGone([...chosen.values()])}>Remove…</Button>
                  <Button size="small" look="quiet" onClick={() => choose(new Map())}>Choose nobody</Button>
                </>
              )}
            </div>
          )}
          <Table label="People" people={people} chosen={may ? chosen : undefined} choose={may ? choose : undefined} open={may ? (person) => setForm({ person }) : undefined}
            actions={may ? (x) => (
              <Menu label="⋯" name={`More about ${x.name}`} items={[
                { text: "Change…", act: () => setForm({ person: x }) },
                { text: "Remove…", act: () => setGone([x]), look: "bad" },
              ]} />
            ) : undefined}
            empty={settled ? (
              <Empty title={`Nobody begins with “${settled}”`}>Names, later words of them, and addresses are found by how they begin.</Empty>
            ) : (
              <Empty title="Nobody is saved yet" action={may && <Button look="main" onClick={() => query({ import: "" })}>Import people</Button>}>
                Save whom you send to often, by name and address. What a mark may show besides, such as a role, is saved with them.
              </Empty>
            )} />
        </Card>
        <Lists production={production} may={may} send={(l) => go(`${to.send(production)}?list=${l}`)} />
      </div>
      {form && <PersonForm key={form.person?.id ?? ""} production={production} person={form.person} onClose={() => setForm(undefined)} />}
      {importing && may && <Import production={production} lists={lists.data ?? []} onClose={() => query({ import: undefined })} />}
      {listing && (
        <NewList production={production} title={`New list of ${count(ids.length, "person", "people")}`} onClose={() => setListing(false)} made={(l) => put(l.id!, l.name!)} />
      )}
      <Ask title={gone.length === 1 ? `Remove ${gone[0]!.name}?` : `Remove ${gone.length} people?`} open={gone.length > 0} onClose={() => setGone([])} yes={`Remove ${count(gone.length, "person", "people")}`} look="bad"
        act={async () => {
          for (const x of gone) await deletePerson(production, x.id!);
          choose(new Map([...chosen].filter(([id]) => !gone.some((x) => x.id === id))));
          for (const key of ["people", "lists", "members"]) void queries.invalidateQueries({ queryKey: [key, production] });
          toast("good", `${count(gone.length, "person is", "people are")} removed.`);
        }}>
        <p>{gone.length === 1 ? "They are" : "They are all"} taken out of every list, too. What was sent to them stays as it is, and can still be followed and revoked.</p>
      </Ask>
    </>
  );
}
