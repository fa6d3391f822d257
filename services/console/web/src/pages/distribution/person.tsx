import { useQuery } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";
import { Link } from "wouter";
import { api, data, type Schemas } from "../../api/client";
import { maySend, useSession } from "../../api/session";
import { to } from "../../routes";
import { Ask, Badge, Button, Copy, Dialog, Field, Input, Notice, State, Time, toast, Trouble, type KeyOf } from "../../ui";
import { accessStates, bytes, count, deliveryStates, itemStates, sentence, stateWord, stepStates } from "../../words";
import { Glyph } from "./glyph";
import { deliverySaid } from "./said";
import { apiSource, type Item, type Recipient, type Sheet } from "./sheet";

/** mostCopies is how many of somebody's copies are read at once when their panel is open. */
const mostCopies = 24;

/** PersonPanel is all about one person of a distribution: their mail, their copies, and what can be done. */
export function PersonPanel({ d, sheet, n, onClose, ran }: { d: Schemas["Distribution"]; sheet: Sheet; n: number; onClose: () => void; ran: () => void }) {
  const session = useSession();
  const [ask, setAsk] = useState<"resend" | "fix" | "revoke" | "">("");
  const [most, setMost] = useState(mostCopies);
  const r = sheet.people[n];
  const files = d.files?.length ?? 0;
  // One copy at a time: of a list in the order file, person, those of one person lie far apart.
  const copies = useQuery({
    queryKey: ["copies", d.production, d.id, n, most, sheet.row(n)],
    queryFn: async () => {
      const source = apiSource(d.production!, d.id!);
      const got: Item[] = [];
      for (let f = 0; f < Math.min(files, most); f += 4)
        got.push(...(await Promise.all(Array.from({ length: Math.min(4, files - f) }, (_, i) => source.items((f + i) * sheet.total + n, 1)))).flat());
      return got;
    },
    placeholderData: (before) => before,
    gcTime: 60_000,
  });
  const pushed = usePush(d, n);
  if (!r) return null;
  const m = r.delivery;
  const send = maySend(session);
  return (
    <Dialog title={r.name || r.email || ""} open wide onClose={onClose}>
      <div className="person">
        <div className="row soft" style={{ marginTop: "calc(-1 * var(--space-3))" }}>
          <span>{r.email}</span>
          {Object.entries(r.fields ?? {}).map(([k, v]) => <span key={k} className="faint" title={k}>· {v}</span>)}
        </div>
        <dl className="facts">
          <div>
            <dt>Mail</dt>
            <dd><State of={deliveryStates} is={m?.state} /> {m?.sent_at && <span className="faint"><Time at={m.sent_at} /></span>}</dd>
          </div>
          <div><dt>Phone</dt><dd>{pushed}</dd></div>
          {m?.access && (
            <div><dt>Link</dt><dd><State of={accessStates} is={m.access} /></dd></div>
          )}
          {d.mode !== "attachment" && (
            <div>
              <dt>Opened</dt>
              <dd>{m?.viewed_at ? <Time at={m.viewed_at} /> : <span className="faint">not yet</span>}{m?.downloaded_at && <span className="faint">, downloaded <Time at={m.downloaded_at} /></span>}</dd>
            </div>
          )}
        </dl>
        <p className="soft">{deliverySaid(m)} {m?.retry_at && <>It is tried again <Time at={m.retry_at} />.</>} {m?.reply && <>The mail server said: <code>{m.reply}</code></>}</p>
        <div className="row">
          {send && <Button onClick={() => setAsk("resend")}>Send again…</Button>}
          {send && <Button onClick={() => setAsk("fix")}>Correct and send again…</Button>}
          <Link className="button" href={to.story(d.production!, d.id!, `r${n + 1}`)}>Why? The whole story</Link>
          {d.mode !== "attachment" && m?.access !== "revoked" && <Button look="bad" onClick={() => setAsk("revoke")}>Revoke…</Button>}
          {send && <Password production={d.production!} recipient={r.id!} name={r.name || r.email || ""} />}
        </div>
        {copies.error && <Trouble error={copies.error} again={() => void copies.refetch()} />}
        <ul className="shots">
          {Array.from({ length: Math.min(files, most) }, (_, f) => <Shot key={f} d={d} f={f} n={n} item={copies.data?.[f]} may={send} />)}
        </ul>
        {files > most && <div><Button busy={copies.isFetching} onClick={() => setMost(most + mostCopies)}>Show {Math.min(mostCopies, files - most)} more of {files} files</Button></div>}
        <footer className="row" style={{ justifyContent: "flex-end" }}><Button onClick={onClose}>Close</Button></footer>
      </div>
      <ResendAsk d={d} r={r} open={ask === "resend"} onClose={() => setAsk("")} done={(after) => (sheet.put(after), ran())} />
      <RevokeAsk d={d} r={r} open={ask === "revoke"} onClose={() => setAsk("")} done={(after) => (sheet.put(after), ran())} />
      {ask === "fix" && <FixAsk d={d} r={r} onClose={() => setAsk("")} done={(after) => (sheet.put(after), ran())} />}
    </Dialog>
  );
}

/** usePush says how the push message went: the step's own answer tells how many devices it reached. */
function usePush(d: Schemas["Distribution"], n: number): ReactNode {
  const story = useQuery({
    queryKey: ["story", d.production, d.id, `r${n + 1}`],
    queryFn: async () => (await data(api.GET("/v1/productions/{production}/distributions/{distribution}/units/{unit}/story", { params: { path: { production: d.production!, distribution: d.id!, unit: `r${n + 1}` } } }))).story ?? {},
    retry: 1,
  });
  if (!d.steps?.some((s) => s.name === "push")) return <span className="faint">not written to</span>;
  if (!story.data) return <span className="faint">{story.error ? "not known" : "…"}</span>;
  const last = story.data.chapters?.findLast((c) => c.step === "push" && c.kind === "attempt");
  if (!last) return <span className="faint">not yet</span>;
  let devices = 0;
  try {
    devices = Number((JSON.parse(last.output_json || "{}") as { notified?: number }).notified ?? 0);
  } catch {
    // Cut short: how many is not known.
  }
  if (last.state !== "done") return <State of={stepStates} is={last.state} />;
  return devices > 0 ? <Badge tone="good">{count(devices, "device")}</Badge> : <span className="faint">no device of theirs is known</span>;
}

/** Shot is one copy: its first page as this person has it, how it stands, and a way to open it. */
function Shot({ d, f, n, item, may }: { d: Schemas["Distribution"]; f: number; n: number; item: Item | undefined; may: boolean }) {
  const [gone, setGone] = useState(false);
  const name = d.files?.[f]?.name || `File ${f + 1}`;
  const w = stateWord(itemStates, item?.state);
  const path = `/v1/productions/${d.production}/distributions/${d.id}/items/${item?.id}`;
  const picture = may && item?.thumbnail && !gone;
  return (
    <li className="shot">
      {may && (
        <div className="paper">
          {picture ? (
            <img src={item!.thumbnail} alt={`First page of ${name} with this person's mark`} loading="lazy" decoding="async" onError={() => setGone(true)} />
          ) : (
            <span className="faint">{item ? "No picture" : ""}</span>
          )}
        </div>
      )}
      <span className="cut" title={name}>{name}</span>
      <span className="row" style={{ flexWrap: "nowrap", gap: "var(--space-1)" }}>
        <Glyph state={item?.state ?? ""} />
        <span className="faint grow cut" title={item?.error?.message ? sentence(item.error.message) : w.means}>{item ? (item.error?.message ?? `${w.text}${Number(item.size) ? `, ${bytes(item.size)}` : ""}`) : "…"}</span>
      </span>
      <span className="row">
        {may && item?.sha256 && <a className="button" data-size="small" href={`${path}/copy`} target="_blank" rel="noreferrer">Open copy</a>}
        <Link className="button" data-size="small" data-look="quiet" href={to.story(d.production!, d.id!, `i${f + 1}.${n + 1}`)}>Why?</Link>
      </span>
    </li>
  );
}

/** shownFor is how long, in seconds, a password stays in sight. */
const shownFor = 30;

/** Password is told on demand, and hidden again by itself. */
export function Password({ production, recipient, name }: { production: string; recipient: string; name: string }) {
  const [ask, setAsk] = useState(false);
  const [word, setWord] = useState("");
  const [left, setLeft] = useState(0);
  useEffect(() => {
    if (!word) return;
    const until = Date.now() + shownFor * 1000;
    setLeft(shownFor);
    const timer = setInterval(() => {
      const s = Math.ceil((until - Date.now()) / 1000);
      setLeft(s);
      if (s <= 0) setWord("");
    }, 250);
    return () => clearInterval(timer);
  }, [word]);
  return (
    <>
      {word ? (
        <span className="row password">
          <code className="secret">{word}</code>
          <Copy text={word} name="the password" />
          <Button size="small" look="quiet" onClick={() => setWord("")}>Hide <span className="number">({left} s)</span></Button>
        </span>
      ) : (
        <Button onClick={() => setAsk(true)}>Password…</Button>
      )}
      <Ask title={`Show the password of ${name}?`} open={ask} onClose={() => setAsk(false)} yes="Show it for 30 seconds"
        act={async () => setWord((await data(api.POST("/v1/productions/{production}/recipients/{recipient}:revealPassword", { params: { path: { production, recipient } }, body: {} }))).password ?? "")}>
        <p>It opens this person's copies, if they were sent locked. That you looked at it is recorded, with your name and the time.</p>
        <p className="soft">Tell it by another way than the mail that the copies came with.</p>
      </Ask>
    </>
  );
}

interface AskProps {
  d: Schemas["Distribution"];
  r: Recipient;
  done: (r: Recipient) => void;
  onClose: () => void;
}

const resend = (d: Schemas["Distribution"], r: Recipient, keyOf: KeyOf, body: { email?: string; name?: string }) =>
  data(api.POST("/v1/productions/{production}/distributions/{distribution}/recipients/{recipient}:resend", { params: { path: { production: d.production!, distribution: d.id!, recipient: r.id! } }, headers: keyOf([r.id, body]), body }));

const another = (d: Schemas["Distribution"]) => (d.mode === "attachment" ? "another mail with their copies" : "another mail with another link; the old link stops opening");

function ResendAsk({ d, r, open, onClose, done }: AskProps & { open: boolean }) {
  return (
    <Ask title={`Send to ${r.name || r.email} again?`} open={open} onClose={onClose} yes="Send 1 mail again"
      act={async (keyOf) => {
        done(await resend(d, r, keyOf, {}));
        toast("good", `On its way to ${r.email} again.`);
      }}>
      <p>{r.email} gets {another(d)}. {r.delivery?.sent_at ? <>The mail before went out <Time at={r.delivery.sent_at} />.</> : "No mail to them has gone out so far."} Nobody else is sent anything.</p>
    </Ask>
  );
}

function RevokeAsk({ d, r, open, onClose, done }: AskProps & { open: boolean }) {
  return (
    <Ask title={`Revoke the link of ${r.name || r.email}?`} open={open} onClose={onClose} yes="Revoke 1 person's link" look="bad"
      act={async () => {
        const after = await data(api.POST("/v1/productions/{production}/distributions/{distribution}/recipients/{recipient}:revoke", { params: { path: { production: d.production!, distribution: d.id!, recipient: r.id! } }, body: {} }));
        if (after.recipient) done(after.recipient);
        toast("good", `${count(after.links_revoked ?? 0, "link opens", "links open")} nothing any more.${after.beyond_recall ? " What they had downloaded stays with them." : ""}`);
      }}>
      <p>Their link stops opening at once, those of earlier mails, too. Everybody else keeps theirs.</p>
      <p className="soft">{r.delivery?.downloaded_at ? <>They downloaded it <Time at={r.delivery.downloaded_at} />; that stays with them.</> : "They have not downloaded anything so far."} Sending again gives them a new link.</p>
    </Ask>
  );
}

function FixAsk({ d, r, onClose, done }: AskProps) {
  const [name, setName] = useState(r.name ?? "");
  const [email, setEmail] = useState(r.email ?? "");
  const same = name.trim() === r.name && email.trim() === r.email;
  const looks = /^\S+@\S+$/.test(email.trim());
  const copies = r.items?.total ?? 0;
  return (
    <Ask title="Correct and send again" open onClose={onClose} yes={same ? "Send 1 mail again" : "Correct and send"}
      act={async (keyOf) => {
        if (!looks) throw new Error(`“${email.trim()}” is no e-mail address.`);
        const after = await resend(d, r, keyOf, { email: email.trim() === r.email ? undefined : email.trim(), name: name.trim() === r.name ? undefined : name.trim() });
        done(after);
        toast("good", `On its way to ${after.email}.`);
      }}>
      <Field label="Name" hint="As it stands on every page of their copies.">{(a) => <Input value={name} onChange={(e) => setName(e.target.value)} autoComplete="off" {...a} />}</Field>
      <Field label="E-mail address" wrong={email && !looks ? "An address looks like name@example.com." : undefined}>{(a) => <Input type="email" value={email} onChange={(e) => setEmail(e.target.value)} autoComplete="off" {...a} />}</Field>
      <Notice tone={same ? "off" : "wait"}>
        {same ? <>They get {another(d)}.</> : <>{copies === 1 ? "Their copy is" : `Their ${copies} copies are`} made again where the name or address stands in the mark, and {email.trim() || "they"} gets {another(d)}. A mail that went to the old address is not called back.</>}
      </Notice>
    </Ask>
  );
}

