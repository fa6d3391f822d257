import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { useSession } from "../api/session";
import { to } from "../routes";
import { Button, Card, Copy, Empty, Field, Input, Loaded, PageHead, Time } from "../ui";
import { number } from "../words";
import { every, OfProduction, Pages, useNames, useParams, useTyped } from "./oncall/parts";
import "./oncall/oncall.css";

/** Audit tells who did what, in a chain that nobody can change unseen. */
export default function Audit() {
  const session = useSession();
  if (session.role !== "admin")
    return (
      <>
        <PageHead title="Audit log" />
        <Card><Empty title="Administrators read the audit log">It says who saw what, of everybody. Ask one of them, or sign in as one.</Empty></Card>
      </>
    );
  return <Log />;
}

function Log() {
  const [param, set] = useParams();
  const [subject, setSubject] = useTyped("subject");
  const [distribution, setDistribution] = useTyped("distribution");
  const [production, page] = [param("production"), param("page")];
  const query = { production, subject: param("subject"), distribution: param("distribution") };
  const audit = useQuery({
    queryKey: ["audit", query, page],
    queryFn: () => data(api.GET("/v1/audit", { params: { query: { ...query, page_size: 100, page_token: page } } })),
    placeholderData: keepPreviousData,
    refetchInterval: page ? false : every * 2,
  });
  const any = query.subject || query.distribution;
  return (
    <>
      <PageHead title="Audit log" below="Who did what, newest first. Each line holds the hash of the one before: what is changed or taken out afterwards shows." actions={<OfProduction />} />
      <div className="filters">
        <Field label="By whom" hint="A token's id, a service, link:…">{(a) => <Input type="search" value={subject} onChange={(e) => setSubject(e.target.value)} {...a} />}</Field>
        <Field label="Of the distribution" hint="Its id">{(a) => <Input type="search" value={distribution} onChange={(e) => setDistribution(e.target.value)} {...a} />}</Field>
        {any && <Button look="quiet" style={{ marginBottom: "1.4rem" }} onClick={() => (setSubject(""), setDistribution(""), set({ subject: "", distribution: "", page: "" }))}>Clear</Button>}
      </div>
      <Loaded query={audit} lines={10}>
        {(r) => {
          const lines = r.lines ?? [];
          return (
            <>
              <Chain r={r} />
              {lines.length === 0 ? (
                <Card><Empty title={any || production ? "No line is like that" : "Nothing has been done yet"} /></Card>
              ) : (
                <Card bare>
                  <div className="scroll" tabIndex={0}>
                    <table className="table">
                      <thead><tr><th className="right">No.</th><th>When</th><th>What</th><th>To what</th><th>By whom</th><th className="right">Answer</th><th>Hash</th></tr></thead>
                      <tbody>{lines.map((l) => <Line key={l.number} l={l} broken={!r.intact && Number(l.number) === Number(r.broken_at)} choose={(s) => setSubject(s)} />)}</tbody>
                    </table>
                  </div>
                </Card>
              )}
              <Pages next={r.next_page_token} shown={lines.length} />
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Chain({ r }: { r: Schemas["ListAuditResponse"] }) {
  return (
    <section className="answer" data-tone={r.intact ? "good" : "bad"} aria-label="Whether the chain is whole" style={{ minHeight: "4.5rem" }}>
      {r.intact ? (
        <p className="sentence">The chain is whole.</p>
      ) : (
        <>
          <p className="sentence">The chain is broken at line {number(Number(r.broken_at ?? 0))}.</p>
          <p className="remedy">From there on lines were changed, taken out or put in, and prove nothing. Those before it are as they were written. Compare them with the archive's segments of the audit, which are written once.</p>
        </>
      )}
    </section>
  );
}

const known: Record<string, string> = {
  "distribution.create": "Sent a distribution",
  "distribution.check": "Checked a distribution before sending it",
  "distribution.revoke": "Revoked a distribution's links",
  "recipient.resend": "Sent to somebody again",
  "failures.act.on": "Retried what failed alike",
  "rules.apply": "Applied rules",
  "copy.download": "Downloaded a copy",
  "hook.fire": "Called a hook",
};
const verbs: Record<string, string> = {
  create: "Made", put: "Put", set: "Set", update: "Changed", delete: "Deleted", remove: "Removed", cancel: "Cancelled", pause: "Paused", resume: "Resumed", retry: "Retried", revoke: "Revoked",
  share: "Shared", unshare: "Took back the sharing of", upload: "Uploaded", view: "Looked at", preview: "Looked at", reveal: "Looked at", test: "Tried", reset: "Reset", acknowledge: "Took", rotate: "Renewed", register: "Registered",
};

/** said tells "limit.set" in words: "Set a limit". What this console does not know is shown as it is. */
function said(action: string | undefined): string | undefined {
  if (!action) return undefined;
  const [noun = "", verb = "", more] = action.split(".");
  const word = verbs[verb];
  return known[action] ?? (word && !more ? `${word} ${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun.replace(/_/g, " ")}` : undefined);
}

function Line({ l, broken, choose }: { l: Schemas["AuditLine"]; broken: boolean; choose: (subject: string) => void }) {
  const name = useNames();
  // An item's and a recipient's id begin with their distribution's.
  const distribution = l.production ? /^[0-9A-HJKMNP-TV-Z]{26}(?=$|\.)/.exec(l.object ?? "")?.[0] : undefined;
  const words = said(l.action);
  const refused = /^[45]/.test(l.detail ?? "");
  return (
    <tr id={`line-${l.number}`} style={broken ? { background: "var(--bad-ground)" } : undefined}>
      <td className="right number">{number(Number(l.number ?? 0))}</td>
      <td><Time at={l.time} /></td>
      <td>
        {words ?? <code>{l.action}</code>}
        <div className="faint">{words && <code>{l.action}</code>} {name(l.production)}</div>
      </td>
      <td style={{ maxWidth: "18rem" }}>
        <div className="cut" title={l.object}>{distribution ? <Link href={to.distribution(l.production!, distribution)}><code>{l.object}</code></Link> : <code>{l.object}</code>}</div>
      </td>
      <td style={{ maxWidth: "13rem" }}><div className="cut" title={l.subject}><button type="button" className="link" onClick={() => choose(l.subject ?? "")}><code>{l.subject}</code></button></div></td>
      <td className="right number soft" style={refused ? { color: "var(--bad)" } : undefined}>{refused ? l.detail : "done"}</td>
      <td style={{ whiteSpace: "nowrap" }}><code className="faint" title={l.hash}>{l.hash?.slice(0, 10)}</code> <Copy text={l.hash ?? ""} name={`the hash of line ${l.number}`} /></td>
    </tr>
  );
}
