import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, data, type Schemas } from "../../api/client";
import { to } from "../../routes";
import { Ask, Badge, Button, Card, Loaded, Time, toast, type KeyOf } from "../../ui";
import { count, number, seconds, sentence, span } from "../../words";
import { useFailures } from "./actions";
import { Causes, Hurt } from "./causes";
import { distributionKey, titleOf } from "./said";
import { useExpectation } from "./standing";

type D = Schemas["Distribution"];

/** Why says why a distribution is as it is: what is wrong, whom it hurts, what is missing, where the time went. */
export default function Why({ d, ran }: { d: D; ran: () => void }) {
  const every = d.ended_at ? (60_000 as const) : (5000 as const);
  const path = { production: d.production!, distribution: d.id! };
  const why = useQuery({
    queryKey: ["why", d.production, d.id, d.id],
    queryFn: () => data(api.GET("/v1/why", { params: { query: { query: d.id, production: d.production, distribution: d.id } } })),
    refetchInterval: every,
  });
  const ledger = useQuery({
    queryKey: ["ledger", d.production, d.id],
    queryFn: () => data(api.GET("/v1/productions/{production}/distributions/{distribution}/ledger", { params: { path } })),
    refetchInterval: every,
  });
  const expected = useExpectation(d);
  const failures = useFailures(d);
  const missing = expected.data?.expectation?.missing ?? [];
  return (
    <>
      <Card title="In a sentence">
        <Loaded query={why} lines={2}>
          {(w) => (
            <div className="stack">
              <p className="answer">{w.answer}</p>
              {(w.causes?.length ?? 0) > 0 && <Causes causes={w.causes!} answer={w.answer} />}
            </div>
          )}
        </Loaded>
      </Card>
      {missing.length > 0 && (
        <Card title={`Missing: ${count(missing.length, "thing")} that should have happened by now`}>
          <ul className="missing">
            {missing.slice(0, 20).map((m, i) => (
              <li key={i}>
                {m.unit && m.unit !== "d" ? <Link href={to.story(d.production!, d.id!, m.unit)}>{sentence(m.what ?? "")}</Link> : sentence(m.what ?? "")}{" "}
                {m.expected_by && <span className="faint">It was expected <Time at={m.expected_by} />.</span>}
              </li>
            ))}
            {missing.length > 20 && <li className="faint">and {number(missing.length - 20)} more</li>}
          </ul>
        </Card>
      )}
      <Loaded query={failures} lines={3}>
        {(f) => <>{(f.groups ?? []).map((g) => <Group key={g.fingerprint} d={d} g={g} ran={ran} />)}</>}
      </Loaded>
      <Card title="Where the time went">
        <Loaded query={ledger} lines={5}>{(l) => (l.ledger?.parts?.length ? <WallTime ledger={l.ledger} running={!d.ended_at} /> : <p className="soft">Nothing has taken any time yet.</p>)}</Loaded>
      </Card>
    </>
  );
}

/** Group is failures that are alike: what it is, whom it hurts, what can be done for all of them at once. */
function Group({ d, g, ran }: { d: D; g: Schemas["FailureGroup"]; ran: () => void }) {
  const queries = useQueryClient();
  const [ask, setAsk] = useState<keyof typeof acts | "">("");
  const open = (g.open ?? 0) > 0;
  const act = async (action: string, keyOf: KeyOf) => {
    const got = await data(api.POST("/v1/productions/{production}/distributions/{distribution}/failures/{fingerprint}:act", {
      params: { path: { production: d.production!, distribution: d.id!, fingerprint: g.fingerprint! } }, headers: keyOf(action), body: { action },
    }));
    if (got.distribution?.id) queries.setQueryData(distributionKey(d.production!, d.id!), got.distribution);
    toast("good", `${acts[action as keyof typeof acts].done} ${count(got.recipients ?? 0, "person", "people")}.`);
    for (const key of ["failures", "why", "expectation"]) void queries.invalidateQueries({ queryKey: [key] });
    ran();
  };
  const hurt = g.hurt ?? [];
  return (
    <Card
      title={<>{sentence(g.example || g.signature || g.code || "")}</>}
      actions={
        open ? (
          <span className="row">{(Object.keys(acts) as (keyof typeof acts)[]).map((a) => <Button key={a} size="small" look={acts[a].look} onClick={() => setAsk(a)}>{acts[a].button}</Button>)}</span>
        ) : (
          <Badge tone="good">Over</Badge>
        )
      }
    >
      <div className="stack" style={{ gap: "var(--space-3)" }}>
        <p className="soft">
          {count(g.count ?? 0, "failure")} in {g.step}, {open ? `${number(g.open ?? 0)} still open` : "none still open"}; {count(g.recipients ?? 0, "person is", "people are")} hurt. {g.summary}{" "}
          {!g.retryable && open && "Trying again helps only once the cause is gone."}
        </p>
        <p className="faint"><code>{g.code}</code> first <Time at={g.first_at} />, last <Time at={g.last_at} /></p>
        <Hurt hits={hurt} more={Math.max(0, (hurt[0]?.kind === "file" ? (g.count ?? 0) : (g.recipients ?? 0)) - hurt.length)} />
      </div>
      {ask && (
        <Ask title={acts[ask].title} open onClose={() => setAsk("")} yes={acts[ask].yes} look={ask === "retry" ? "main" : "bad"} act={(keyOf) => act(ask, keyOf)}>
          <p>{acts[ask].says(count(g.recipients ?? 0, "person", "people"), titleOf(d))}</p>
          {ask === "retry" && !g.retryable && <p className="soft">As it stands this fails again: {sentence(g.example ?? "")}</p>}
        </Ask>
      )}
    </Card>
  );
}

interface Act {
  button: string;
  look?: "bad" | "quiet";
  title: string;
  yes: string;
  done: string;
  says: (people: string, title: string) => string;
}

/** What can be done to all whom a group hurts. */
const acts: Record<"retry" | "skip" | "cancel", Act> = {
  retry: {
    button: "Try again…",
    title: "Try these again?",
    yes: "Try again",
    done: "It is tried again for",
    says: (people, title) => `What failed for ${people} in “${title}” runs again, and so does what waited for it. Nobody gets a mail twice unless there is more to send.`,
  },
  skip: {
    button: "Leave out…",
    look: "quiet",
    title: "Leave out what fails?",
    yes: "Leave it out",
    done: "It is left out for",
    says: (people, title) =>
      `What fails for ${people} in “${title}” is left out. Whoever waits for their mail gets it with the copies there are, and it names what is missing; who has no copy left to get, gets no mail. It then ends as “Sent, not to all”.`,
  },
  cancel: {
    button: "Cancel theirs…",
    look: "quiet",
    title: "Cancel all that is theirs?",
    yes: "Cancel theirs",
    done: "What had not ended is cancelled for",
    says: (people, title) => `All that has not ended of ${people} in “${title}” is cancelled, their mail, too. What was sent stays sent; trying again brings it back.`,
  },
};

const kinds: Record<string, [string, string]> = {
  service: ["at work", "A worker was at it."],
  slot: ["in the queue", "It could begin, and no worker was free."],
  limit: ["at a limit", "A limit held it back."],
  backoff: ["until another try", "It had failed, and waited before it was tried again."],
  waiting: ["waiting", "It waited for others, for the undo window or in a pause."],
};
const kindOrder = ["service", "slot", "limit", "backoff", "waiting"];

/** WallTime is the wall time as a strip in its order, and as sums by what it was. */
function WallTime({ ledger, running }: { ledger: Schemas["Ledger"]; running: boolean }) {
  const parts = (ledger.parts ?? []).map((p) => ({ ...p, ms: Math.max(0, Date.parse(p.until!) - Date.parse(p.from!)) }));
  const whole = parts.reduce((n, p) => n + p.ms, 0) || 1;
  const here = kindOrder.filter((k) => parts.some((p) => p.kind === k));
  return (
    <div className="stack">
      <p className="answer">{ledger.sentence}</p>
      <div className="strip" role="img" aria-label={`The path that decided ${running ? "how far it is" : "when it ended"}, in the order of time; the table has the same as numbers.`}>
        {parts.map((p, i) => (
          <span key={i} data-kind={p.kind} style={{ flexGrow: Math.max(p.ms, whole / 1000) }} title={`${p.step}: ${span(p.ms / 1000)} ${kinds[p.kind ?? ""]?.[0] ?? p.kind}${p.subject ? ` (${p.subject})` : ""}`}>
            {p.ms / whole > 0.12 && <span className="cut">{p.step}</span>}
          </span>
        ))}
      </div>
      <ul className="legend kinds">{here.map((k) => <li key={k} data-kind={k} title={kinds[k]![1]}>{kinds[k]![0]}</li>)}</ul>
      <div className="scroll" tabIndex={0}>
        <table className="table">
          <thead><tr><th>Step</th><th>What the time was</th><th className="right">Time</th><th className="right">Share</th><th style={{ width: "35%" }} aria-hidden /></tr></thead>
          <tbody>
            {(ledger.sums ?? []).map((s, i) => (
              <tr key={i}>
                <td>{s.step}</td>
                <td className="soft" title={kinds[s.kind ?? ""]?.[1]}>{kinds[s.kind ?? ""]?.[0] ?? s.kind}</td>
                <td className="right number">{span(seconds(s.time))}</td>
                <td className="right number">{Math.round((s.share ?? 0) * 100)} %</td>
                <td aria-hidden><span className="share" data-kind={s.kind} style={{ width: `${Math.max(0.5, (s.share ?? 0) * 100)}%` }} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="faint">It is the one chain of steps that decided {running ? "how far it has come" : "when it ended"}; other copies were made beside it. Together the parts are all of {span(whole / 1000)}.</p>
    </div>
  );
}
