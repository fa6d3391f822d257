import { useState } from "react";
import { Empty, Input } from "../../ui";
import { useSettled } from "../../ui/settled";
import { usePeople } from "./api";
import { Table, type Chosen } from "./table";

/** Choose finds people of the directory and puts check marks at them; who is chosen stays so while others are looked for. */
export function Choose({ production, chosen, choose }: { production: string; chosen: Chosen; choose: (next: Chosen) => void }) {
  const [q, setQ] = useState("");
  const settled = useSettled(q.trim(), 250);
  const people = usePeople(production, settled);
  return (
    <div className="stack" style={{ gap: "var(--space-3)" }}>
      <Input type="search" autoFocus aria-label="Find people" placeholder="Find by the beginning of a name or an address" value={q} onChange={(e) => setQ(e.target.value)} />
      <Table label="People" people={people} chosen={chosen} choose={choose} low
        empty={<Empty title={settled ? "Nobody is found" : "Nobody is saved yet"}>{settled ? "Names and addresses are found by how they begin." : "People are saved under People and lists, or with a list that you save when sending."}</Empty>} />
    </div>
  );
}
