import { useQuery } from "@tanstack/react-query";
import { api, data, type Schemas } from "../../api/client";
import { mayOperate, useSession } from "../../api/session";
import { to } from "../../routes";
import { Button, Card, Go, Loaded, Time } from "../../ui";
import { count, number } from "../../words";
import { useAsk } from "../oncall/ask";
import { every } from "../oncall/parts";

/** General is what a production is called, what it accepts and how much it may have under way. */
export function General({ p }: { p: Schemas["Production"] }) {
  const session = useSession();
  const [ask, asked] = useAsk();
  const quota = useQuery({ queryKey: ["quota", p.id], queryFn: () => data(api.GET("/v1/productions/{production}/quota", { params: { path: { production: p.id! } } })), refetchInterval: every * 2 });
  const open = () =>
    ask({
      title: p.open_restricted ? "Refuse restricted documents again?" : "Take restricted documents?",
      says: p.open_restricted ? (
        <p>From now on a document whose author meant to restrict printing or copying is refused, with the code <code>PDF_ENCRYPTED</code>. Distributions that have started are not touched.</p>
      ) : (
        <p>Documents that open without a password, but whose author meant to restrict printing or copying, are taken from now on. <strong>Their copies carry no such restrictions.</strong> That must be allowed to you.</p>
      ),
      yes: p.open_restricted ? "Refuse them" : "Take them",
      act: () => data(api.PATCH("/v1/productions/{production}", { params: { path: { production: p.id! } }, body: { open_restricted: !p.open_restricted } })),
      done: p.open_restricted ? "Restricted documents are refused." : "Restricted documents are taken.",
      stale: ["production", "productions"],
    });
  return (
    <>
      <Card title="Production">
        <dl className="facts">
          <div><dt>Name</dt><dd>{p.name}</dd></div>
          <div><dt>Id, in addresses and in the terminal</dt><dd><code>{p.id}</code></dd></div>
          <div><dt>Made</dt><dd><Time at={p.created_at} /></dd></div>
        </dl>
      </Card>
      <Card title="Restricted documents" actions={session.role === "admin" && <Button size="small" onClick={open}>{p.open_restricted ? "Refuse them…" : "Take them…"}</Button>}>
        <p>
          <strong>{p.open_restricted ? "Taken." : "Refused."}</strong>{" "}
          <span className="soft">{p.open_restricted ? "Documents whose author meant to restrict printing or copying are sent; their copies carry no such restrictions." : "A document whose author meant to restrict printing or copying is refused, and says so."}</span>
        </p>
      </Card>
      <Card title="Quota" actions={mayOperate(session) && <Go to={`${to.queues()}?tab=productions`} size="small">Change it</Go>}>
        <Loaded query={quota} lines={2}>
          {(q) => (
            <dl className="facts">
              <div><dt>Copies under way at most</dt><dd className="number">{q.most_open_items ? number(q.most_open_items) : "any number"}</dd></div>
              <div><dt>Now</dt><dd className="number">{number(q.items_open ?? 0)}</dd></div>
              <div><dt>New distributions a minute at most</dt><dd className="number">{q.most_per_minute ? number(q.most_per_minute) : "any number"}</dd></div>
              <div><dt>In the last minute</dt><dd className="number">{count(q.last_minute ?? 0, "distribution")}</dd></div>
            </dl>
          )}
        </Loaded>
      </Card>
      {asked}
    </>
  );
}
