import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { maySend, useSession } from "../api/session";
import { to } from "../routes";
import { Bar, Button, Card, Empty, Go, Loaded, PageHead, State, Time } from "../ui";
import { count, distributionStates, number, type Tone } from "../words";

/** itemParts are the shares of items by how they stand, for a bar. */
export function itemParts(n: Schemas["ItemCounts"] | null | undefined): [Tone, number][] {
  return [["good", n?.done ?? 0], ["busy", n?.running ?? 0], ["bad", n?.failed ?? 0], ["off", (n?.skipped ?? 0) + (n?.cancelled ?? 0)], ["wait", n?.pending ?? 0]];
}

/** Distributions lists what a production has sent, newest first. */
export default function Distributions({ production }: { production: string }) {
  const session = useSession();
  const list = useInfiniteQuery({
    queryKey: ["distributions", production],
    queryFn: ({ pageParam }) => data(api.GET("/v1/productions/{production}/distributions", { params: { path: { production }, query: { page_size: 50, page_token: pageParam } } })),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_page_token || undefined,
    // Open ones move; their own pages are live, this one looks again now and then.
    refetchInterval: (q) => (q.state.data?.pages.some((p) => p.distributions?.some((d) => !d.ended_at)) ? 5000 : 60_000),
  });
  return (
    <>
      <PageHead title="Distributions" actions={maySend(session) && <Go to={to.send(production)} look="main">Send</Go>} />
      <Loaded query={list}>
        {(pages) => {
          const all = pages.pages.flatMap((p) => p.distributions ?? []);
          if (all.length === 0)
            return (
              <Card>
                <Empty title="Nothing has been sent yet" action={maySend(session) && <Go to={to.send(production)} look="main">Send something</Go>}>
                  Every recipient of a file gets a copy of their own, with their name on every page. Here you see what became of each.
                </Empty>
              </Card>
            );
          return (
            <Card bare>
              <div className="scroll" tabIndex={0}>
                <table className="table">
                  <thead>
                    <tr><th>Title</th><th>State</th><th style={{ width: "22%" }}>Copies</th><th className="right">People</th><th className="right">Sent</th></tr>
                  </thead>
                  <tbody>{all.map((d) => <Row key={d.id} d={d} />)}</tbody>
                </table>
              </div>
            </Card>
          );
        }}
      </Loaded>
      {list.hasNextPage && <div><Button busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>Show older ones</Button></div>}
    </>
  );
}

function Row({ d }: { d: Schemas["Distribution"] }) {
  const n = d.items;
  return (
    <tr>
      <td>
        <Link href={to.distribution(d.production!, d.id!)} style={{ fontWeight: 550, color: "var(--ink)" }}>{d.title || d.files?.[0]?.name || d.id}</Link>
        <div className="faint">{d.files?.map((f) => f.name).join(", ")}</div>
      </td>
      <td><State of={distributionStates} is={d.state} /></td>
      <td>
        <Bar label={`${n?.done ?? 0} of ${n?.total ?? 0} copies are sent`} parts={itemParts(n)} />
        <div className="faint number">{number(n?.done ?? 0)} of {count(n?.total ?? 0, "copy", "copies")}{n?.failed ? `, ${number(n.failed)} failed` : ""}</div>
      </td>
      <td className="right number">{number(d.recipients?.total ?? 0)}</td>
      <td className="right soft"><Time at={d.created_at} /></td>
    </tr>
  );
}
