import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, data, failure, type Schemas } from "../../api/client";
import { Area, Ask, Button, Choice, Copy, Dialog, Field, Menu, Notice, Time, toast, Trouble } from "../../ui";
import { count, number } from "../../words";
import { distributionKey, titleOf } from "./said";

type D = Schemas["Distribution"];
const of = (d: D) => ({ params: { path: { production: d.production!, distribution: d.id! } } });

/** useDone writes what an action answered where the page reads, so that it shows at once. */
function useDone(ran: () => void) {
  const queries = useQueryClient();
  return (after: D | null | undefined) => {
    if (after?.id) queries.setQueryData(distributionKey(after.production!, after.id!), after);
    for (const key of ["expectation", "failures", "why", "ledger"]) void queries.invalidateQueries({ queryKey: [key] });
    ran();
  };
}

/** Actions are what can be done with a distribution as it is now. */
export function Actions({ d, ran }: { d: D; ran: () => void }) {
  const [ask, setAsk] = useState<"cancel" | "retry" | "revoke" | "share" | "">("");
  const [busy, setBusy] = useState(false);
  const done = useDone(ran);
  const close = () => setAsk("");
  const open = !d.ended_at;
  const failed = (d.items?.failed ?? 0) + (d.items?.cancelled ?? 0) > 0;
  const pause = async (on: boolean) => {
    setBusy(true);
    try {
      done(await data(on ? api.POST("/v1/productions/{production}/distributions/{distribution}:pause", { ...of(d), body: {} }) : api.POST("/v1/productions/{production}/distributions/{distribution}:resume", { ...of(d), body: {} })));
      if (on) toast("good", "Paused. What workers have comes to its end; nothing new begins.", { text: "Resume", act: () => void pause(false) });
    } catch (e) {
      toast("bad", (e as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      {open && d.state === "paused" && <Button look="main" busy={busy} onClick={() => void pause(false)}>Resume</Button>}
      {open && d.state !== "paused" && !d.cancel_requested && <Button busy={busy} onClick={() => void pause(true)}>Pause</Button>}
      {failed && <Button look={open || !d.items?.failed ? undefined : "main"} onClick={() => setAsk("retry")}>Try again…</Button>}
      <Button onClick={() => setAsk("share")}>Share…</Button>
      <Menu
        label="More ▾"
        name="More actions"
        items={[
          { text: "Report as CSV", act: () => void report(d) },
          { text: "Send again, with changes…", act: () => setAsk("retry") },
          null,
          { text: "Revoke…", look: "bad", act: () => setAsk("revoke") },
          { text: "Cancel…", look: "bad", disabled: !open || d.cancel_requested, act: () => setAsk("cancel") },
        ]}
      />
      <CancelAsk d={d} open={ask === "cancel"} onClose={close} done={done} />
      <RevokeAsk d={d} open={ask === "revoke"} onClose={close} done={done} />
      {ask === "retry" && <RetryAsk d={d} onClose={close} done={done} />}
      {ask === "share" && <Share d={d} onClose={close} />}
    </>
  );
}

/** report fetches the table of who got what and hands it to the browser as a file; what goes wrong is said here. */
async function report(d: D) {
  try {
    const answer = await fetch(`/v1/productions/${d.production}/distributions/${d.id}/report.csv`);
    if (!answer.ok) throw await failure(answer);
    const url = URL.createObjectURL(await answer.blob());
    const a = document.createElement("a");
    a.href = url;
    a.download = `${titleOf(d).replace(/[\\/:*?"<>|]+/g, " ").trim() || d.id}.csv`;
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (e) {
    toast("bad", `The report could not be fetched. ${(e as Error).message}`);
  }
}

function CancelAsk({ d, open, onClose, done }: { d: D; open: boolean; onClose: () => void; done: (d: D) => void }) {
  const n = d.items ?? {};
  const left = (n.pending ?? 0) + (n.running ?? 0);
  return (
    <Ask title="Cancel this distribution?" open={open} onClose={onClose} yes={`Cancel ${count(left, "copy", "copies")}`} look="bad"
      act={async () => done(await data(api.POST("/v1/productions/{production}/distributions/{distribution}:cancel", { ...of(d), body: {} })))}>
      <p>{count(left, "copy", "copies")} of “{titleOf(d)}” will not be sent. No mail starts from then on; one that is being sent right now may still go out.</p>
      {(n.done ?? 0) > 0 && <p>{count(n.done!, "copy is", "copies are")} out already and {n.done === 1 ? "stays" : "stay"} out. Links among them can be revoked.</p>}
    </Ask>
  );
}

function RevokeAsk({ d, open, onClose, done }: { d: D; open: boolean; onClose: () => void; done: (d: D | null | undefined) => void }) {
  const r = d.recipients ?? {};
  const sent = (r.sent ?? 0) + (r.delivered ?? 0) + (r.uncertain ?? 0) + (r.complained ?? 0);
  const left = (d.items?.pending ?? 0) + (d.items?.running ?? 0);
  return (
    <Ask title="Revoke this distribution?" open={open} onClose={onClose} yes="Revoke" look="bad"
      act={async () => {
        const after = await data(api.POST("/v1/productions/{production}/distributions/{distribution}:revoke", { ...of(d), body: {} }));
        done(after.distribution);
        toast("good", `${count(after.links_revoked ?? 0, "link opens", "links open")} nothing any more.${after.beyond_recall ? ` ${number(after.beyond_recall)} had their copies attached; these cannot be called back.` : ""}`);
      }}>
      {d.mode === "attachment" ? (
        <p>The copies were attached to mails: the {count(sent, "mail that is", "mails that are")} out cannot be called back.</p>
      ) : (
        <p>The links of {count(sent, "person", "people")} stop opening at once. What was downloaded before stays with whoever has it.</p>
      )}
      <p>{left > 0 ? `${count(left, "copy", "copies")} that ${left === 1 ? "is" : "are"} not sent will not be.` : "Nothing else is waiting to be sent."} This cannot be undone; sending again makes new links.</p>
    </Ask>
  );
}

const layouts: [string, string][] = [["", "As it was"], ["diagonal", "Diagonal"], ["tiled", "Tiled"], ["header", "Header"], ["footer", "Footer"], ["corners", "Corners"]];

/** RetryAsk runs what failed again, or everything, or only what failed for one reason; with another mark if wanted. */
function RetryAsk({ d, onClose, done }: { d: D; onClose: () => void; done: (d: D) => void }) {
  const n = d.items ?? {};
  const failed = (n.failed ?? 0) + (n.cancelled ?? 0);
  const [what, setWhat] = useState<"skip" | "redo">(failed > 0 ? "skip" : "redo");
  const [code, setCode] = useState("");
  const [mark, setMark] = useState("");
  const [layout, setLayout] = useState("");
  const groups = useFailures(d);
  const codes = [...new Map((groups.data?.groups ?? []).filter((g) => g.open).map((g) => [g.code ?? "", g])).values()];
  const marked = mark.trim() !== "" || layout !== "";
  const again = what === "redo" || marked ? (n.total ?? 0) : failed;
  return (
    <Ask title="Try again" open onClose={onClose} yes={what === "redo" || marked ? "Make and send again" : "Try what failed again"}
      act={async (keyOf) => {
        const body = { done: what, code: code || undefined, mark: mark.trim() || (layout ? d.mark : undefined) || undefined, mark_style: layout ? { ...d.mark_style, layout } : undefined };
        done(await data(api.POST("/v1/productions/{production}/distributions/{distribution}:retry", { ...of(d), headers: keyOf(body), body })));
      }}>
      <Choice label="What becomes of what is done" value={what} onChange={setWhat} options={[["skip", "It stays"], ["redo", "It is done again"]]} />
      <p className="soft">
        {what === "redo"
          ? "Copies, links and mails are made again for everybody: each gets another mail, and another link in place of the old."
          : "Only what failed or was cancelled runs again. Whoever has their mail gets another only if there is more to send."}
      </p>
      {codes.length > 0 && (
        <Field label="Of whom" hint="Everything else that failed of theirs runs again, too.">
          {(a) => (
            <select className="input" value={code} onChange={(e) => setCode(e.target.value)} {...a}>
              <option value="">Everybody of whom something failed</option>
              {codes.map((g) => <option key={g.code} value={g.code}>{`${g.code}: ${count(g.recipients ?? 0, "person", "people")}`}</option>)}
            </select>
          )}
        </Field>
      )}
      <details>
        <summary>With another mark</summary>
        <div className="stack" style={{ paddingTop: "var(--space-3)" }}>
          <Field label="Text of the mark" hint={<>Fields in braces: {"{name} {email} {date} {copy}"}. Empty: as it was.</>}>
            {(a) => <Area rows={2} value={mark} placeholder={d.mark} onChange={(e) => setMark(e.target.value)} {...a} />}
          </Field>
          <Field label="Where it stands">
            {(a) => <select className="input" value={layout} onChange={(e) => setLayout(e.target.value)} {...a}>{layouts.map(([v, t]) => <option key={v} value={v}>{t}</option>)}</select>}
          </Field>
          {marked && <Notice tone="wait">Everybody meant gets new copies with the new mark, by another mail{d.mode === "attachment" ? "" : " and another link in place of the old"}.</Notice>}
        </div>
      </details>
      <p>{again > 0 ? `Up to ${count(again, "copy", "copies")} will be made${what === "redo" || marked ? " and sent" : ""} again.` : "Nothing of it failed."}</p>
    </Ask>
  );
}

/** useFailures are a distribution's failures, those alike together. */
export function useFailures(d: D, all = false) {
  return useQuery({
    queryKey: ["failures", d.production, d.id, all],
    queryFn: () => data(api.GET("/v1/failures", { params: { query: { production: d.production, distribution: d.id, page_size: 100, resolved: all || undefined } } })),
    refetchInterval: d.ended_at ? 60_000 : 5000,
  });
}

const spans: [string, string][] = [["86400s", "A day"], ["604800s", "7 days"], ["2592000s", "30 days"], ["7776000s", "90 days"]];

/** Share makes an address for somebody without an account, to look and no more. */
function Share({ d, onClose }: { d: D; onClose: () => void }) {
  const [how, setHow] = useState("604800s");
  const [masked, setMasked] = useState(true);
  const [made, setMade] = useState<Schemas["ShareDistributionResponse"]>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const run = async (f: () => Promise<void>) => {
    setBusy(true);
    setError(undefined);
    try {
      await f();
    } catch (e) {
      setError(e as Error);
    } finally {
      setBusy(false);
    }
  };
  const share = () => run(async () => setMade(await data(api.POST("/v1/productions/{production}/distributions/{distribution}:share", { ...of(d), body: { expires_in: how, mask_names: masked } }))));
  const end = () =>
    run(async () => {
      await api.POST("/v1/productions/{production}/distributions/{distribution}:unshare", { ...of(d), body: {} });
      toast("good", "All shared addresses of this distribution have ended.");
      onClose();
    });
  return (
    <Dialog title="Share a look at this distribution" open onClose={onClose}>
      <p className="soft">Whoever has the address sees how it stands and who got what, live. They can change nothing and open no copy.</p>
      {made ? (
        <div className="stack">
          <Field label="Address" hint={<>It is shown once and kept nowhere. It ends <Time at={made.expires_at} />.</>}>
            {(a) => <input className="input" readOnly value={made.url} onFocus={(e) => e.target.select()} autoFocus {...a} />}
          </Field>
          <div className="row"><Copy text={made.url ?? ""} name="the address" /></div>
        </div>
      ) : (
        <div className="stack">
          <Choice label="It works for" value={how} onChange={setHow} options={spans} />
          <label className="check"><input type="checkbox" checked={masked} onChange={(e) => setMasked(e.target.checked)} /> Names as initials, addresses as domains</label>
        </div>
      )}
      {error && <Trouble error={error} />}
      <footer>
        <Button look="quiet" disabled={busy} onClick={() => void end()}>End all shared addresses</Button>
        {made ? <Button look="main" onClick={onClose}>Done</Button> : <Button look="main" busy={busy} onClick={() => void share()}>Make the address</Button>}
      </footer>
    </Dialog>
  );
}
