import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, data, type Schemas } from "../../api/client";
import { Ask, Bones, Notice, toast, Trouble, type KeyOf } from "../../ui";
import { capital, count, number } from "../../words";
import { useNames } from "./parts";

interface Part {
  production: string;
  distribution: string;
  title: string;
  recipients: number;
  open: number;
}

/** parts tells a group by distribution: an action is done to one distribution at a time. */
async function parts(g: Schemas["FailureGroup"]): Promise<Part[]> {
  const of = new Map<string, string>();
  if (g.distribution) of.set(g.distribution, g.production!);
  for (const h of g.hurt ?? []) if (h.distribution) of.set(h.distribution, h.production!);
  const list = await Promise.all(
    [...of].map(async ([distribution, production]) => {
      const [groups, d] = await Promise.all([
        data(api.GET("/v1/failures", { params: { query: { production, distribution, page_size: 1000 } } })),
        data(api.GET("/v1/productions/{production}/distributions/{distribution}", { params: { path: { production, distribution } } })),
      ]);
      const mine = groups.groups?.find((x) => x.fingerprint === g.fingerprint);
      return { production, distribution, title: d.title || d.files?.[0]?.name || distribution, recipients: mine?.recipients ?? 0, open: mine?.open ?? 0 };
    }),
  );
  return list.filter((p) => p.open > 0);
}

/** RetryGroup asks before everybody whom a group of failures hurts is done again, and says who that is. */
export function RetryGroup({ g, onClose }: { g: Schemas["FailureGroup"]; onClose: () => void }) {
  const name = useNames();
  const of = useQuery({ queryKey: ["group", g.fingerprint], queryFn: () => parts(g), staleTime: 0, gcTime: 0 });
  const [done, setDone] = useState(0);
  const people = of.data?.reduce((n, p) => n + p.recipients, 0) ?? 0;
  const unseen = (g.distributions ?? 0) - (of.data?.length ?? 0);
  const act = async (keyOf: KeyOf) => {
    let n = 0;
    for (const [i, p] of (of.data ?? []).entries()) {
      setDone(i);
      const r = await data(
        api.POST("/v1/productions/{production}/distributions/{distribution}/failures/{fingerprint}:act", {
          params: { path: { production: p.production, distribution: p.distribution, fingerprint: g.fingerprint! } },
          headers: keyOf(p.distribution),
          body: { action: "retry" },
        }),
      );
      n += r.recipients ?? 0;
    }
    toast("good", `It is done again for ${count(n, "person", "people")}.`);
  };
  return (
    <Ask title={of.data ? `Retry for ${count(people, "person", "people")}?` : "Retry?"} open onClose={onClose} yes={done ? `${number(done)} of ${number(of.data?.length ?? 0)}…` : "Retry"} act={of.data?.length ? act : async () => undefined}>
      <p>{capital(g.signature || g.example)}</p>
      {of.error ? <Trouble error={of.error} again={() => void of.refetch()} /> : !of.data ? <Bones lines={2} /> : of.data.length === 0 ? (
        <Notice tone="good">Nothing of it is open any more: there is nothing to retry.</Notice>
      ) : (
        <>
          <p>What failed is run again, and all that waits for it: copies are made, and mails go out to those who do not have theirs. Who has their mail gets another only if there is more to send.</p>
          <table className="table">
            <thead><tr><th>Distribution</th><th className="right">People</th></tr></thead>
            <tbody>
              {of.data.map((p) => (
                <tr key={p.distribution}>
                  <td>{p.title} <span className="faint">{name(p.production)}</span></td>
                  <td className="right number">{number(p.recipients)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {unseen > 0 && <Notice tone="wait">{count(unseen, "other distribution")} with the same failure {unseen === 1 ? "is" : "are"} not touched by this; do it again afterwards.</Notice>}
        </>
      )}
      {!g.retryable && !!of.data?.length && <Notice tone="wait" title="It fails again unless its cause is dealt with.">It was not tried again by itself, since the same would come of it.</Notice>}
    </Ask>
  );
}
