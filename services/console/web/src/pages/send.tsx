import { useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { useLocation } from "wouter";
import type { Schemas } from "../api/client";
import { maySend, useSession } from "../api/session";
import { to } from "../routes";
import { Ask, Button, Card, Empty, Go, PageHead, toast } from "../ui";
import { count } from "../words";
import { useCheck, useHints } from "./send/check";
import { blank, defaultMark, hasWork, troubles as find, useDraft, type Draft } from "./send/draft";
import { Files } from "./send/files";
import { look } from "./send/findings";
import { How } from "./send/how";
import { useSending } from "./send/intent";
import { insert, Mark } from "./send/mark";
import { Pick, usePicked } from "./send/pick";
import { Preview } from "./send/preview";
import { Summary } from "./send/summary";
import { useUploads } from "./send/upload";
import { addList, Whom } from "./send/whom";
import "./people/people.css";
import "./send/send.css";

const order = ["refuses", "warns", "tells"];

/** Send is where a distribution is written, looked at, and sent. */
export default function Send({ production }: { production: string }) {
  if (!maySend(useSession()))
    return (
      <>
        <PageHead title="Send" />
        <Card><Empty title="Sending is for coordinators" action={<Go to={to.distributions(production)}>To the distributions</Go>}>You look after how things go out, and may not send. Whoever coordinates the production can.</Empty></Card>
      </>
    );
  return <Form production={production} />;
}

function Form({ production }: { production: string }) {
  const [, go] = useLocation();
  const [draft, change, drop] = useDraft(production);
  const [said, say] = useState("");
  const area = useRef<HTMLTextAreaElement>(null);
  const stored = useCallback(
    (f: Schemas["File"]) =>
      change((d) => {
        const same = d.files.find((x) => x.sha256 === f.sha256);
        if (same) toast("wait", `${f.name} is the same document as ${same.name}; it is sent once.`);
        return same ? {} : { files: [...d.files, f] };
      }),
    [change],
  );
  const { uploads, begin, again, forget } = useUploads(production, stored);
  const [hints, hint] = useHints();
  // Of ten thousand people, what is wrong with whom may come a moment after a letter is typed; the letter may not.
  const rows = useDeferredValue(draft.rows);
  const troubles = useMemo(() => find(rows, hints), [rows, hints]);
  const bad = useMemo(() => new Set([...troubles.values()].flatMap((t) => (t.kind === "bad" ? [t.row.id] : []))), [troubles]);
  usePicked(production, draft, change, say);
  const seen = useMemo(() => look(draft, troubles, uploads), [draft, troubles, uploads]);
  const checked = useCheck(production, draft, !seen.some((f) => f.severity === "refuses"), hint);
  const findings = useMemo(() => [...seen, ...checked.findings].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity)), [seen, checked.findings]);
  const done = useCallback(
    (d: Schemas["Distribution"]) => {
      drop();
      go(to.distribution(production, d.id!));
    },
    [drop, go, production],
  );
  const sender = useSending(production, draft, change, done);
  const take = useCallback(
    (files: File[]) => {
      const lists = files.filter((f) => /\.(csv|tsv|txt|xlsx?|ods|numbers)$/i.test(f.name));
      const documents = files.filter((f) => !lists.includes(f));
      if (documents.length) begin(documents);
      for (const l of lists) void addList(l, change).then(say);
    },
    [begin, change],
  );
  const over = useDrop(take);
  const locked = sender.sending.state === "asking" || sender.sending.state === "unsure";
  const leaving = useLeaving(hasWork(draft) || uploads.length > 0 || locked, uploads.filter((u) => u.state !== "failed").length);
  const ownMark = draft.mark !== defaultMark || draft.layout !== "diagonal" || draft.color !== "" || draft.opacity > 0 || draft.size > 0 || draft.pages !== "";
  return (
    <>
      <div className="send" data-page="send">
        <div className="sendForm" inert={locked}>
          <PageHead title="Send" below="Everybody gets a copy of their own, with their name on every page."
            actions={hasWork(draft) && !locked && <StartOver draft={draft} clear={() => (change({ ...blank(), intent: undefined }), say(""))} />} />
          <Files production={production} files={draft.files} uploads={uploads} begin={take} again={again} forget={forget} ownMark={ownMark}
            change={(f) => change((d) => ({ files: f(d.files) }))} />
          <Whom draft={draft} change={change} troubles={troubles} insert={(c) => insert(c, draft, change, area.current)} said={said} say={say}
            actions={<Pick production={production} draft={draft} change={change} say={say} bad={bad} />} />
          <How draft={draft} change={change} drive={false} />
          <Mark draft={draft} change={change} area={area} />
        </div>
        <aside className="sendSide" aria-label="Preview and summary">
          <Preview production={production} draft={draft} />
          <Summary draft={draft} change={change} findings={findings} checked={checked.says} sending={sender.sending} send={() => void sender.send()} again={sender.again} giveUp={sender.giveUp} listing={to.distributions(production)} />
        </aside>
      </div>
      {over && !locked && <div className="sendOver" aria-hidden><p>Drop files to send them, or a CSV of people</p></div>}
      {leaving}
    </>
  );
}

/** StartOver empties the page, and can be undone. */
function StartOver({ draft, clear }: { draft: Draft; clear: () => void }) {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Button look="quiet" onClick={() => setAsking(true)}>Start over</Button>
      <Ask title="Start over?" open={asking} onClose={() => setAsking(false)} yes="Empty the page" act={async () => clear()}>
        <p>{count(draft.files.length, "file")} and {count(draft.rows.length, "person", "people")} are taken off this page. Files stay stored, and saved lists stay as they are.</p>
      </Ask>
    </>
  );
}

/** useDrop takes files dropped anywhere on the page, and tells whether some are held over it. */
function useDrop(take: (files: File[]) => void): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const has = (e: DragEvent) => e.dataTransfer?.types.includes("Files");
    let left = 0;
    const drag = (e: DragEvent) => {
      if (!has(e)) return;
      e.preventDefault();
      window.clearTimeout(left);
      // A drag says nothing when it is given up outside: it is over when it is silent.
      left = window.setTimeout(() => setOver(false), 300);
      setOver(true);
    };
    const dropped = (e: DragEvent) => {
      if (!has(e)) return;
      e.preventDefault();
      setOver(false);
      take([...(e.dataTransfer?.files ?? [])]);
    };
    addEventListener("dragover", drag);
    addEventListener("drop", dropped);
    return () => {
      window.clearTimeout(left);
      removeEventListener("dragover", drag);
      removeEventListener("drop", dropped);
    };
  }, [take]);
  return over;
}

/** useLeaving asks before a page with work in it is left. The draft is kept in the tab; what is being uploaded is not. */
function useLeaving(work: boolean, moving: number) {
  const [, go] = useLocation();
  const [where, setWhere] = useState("");
  useEffect(() => {
    if (!work) return;
    const closing = (e: BeforeUnloadEvent) => e.preventDefault();
    const clicked = (e: MouseEvent) => {
      const a = (e.target as Element).closest?.("a[href]");
      if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.getAttribute("target")) return;
      const url = new URL(a.getAttribute("href")!, location.href);
      if (url.origin !== location.origin || url.pathname === location.pathname) return;
      e.preventDefault();
      e.stopPropagation();
      setWhere(url.pathname + url.search);
    };
    addEventListener("beforeunload", closing);
    document.addEventListener("click", clicked, true);
    return () => {
      removeEventListener("beforeunload", closing);
      document.removeEventListener("click", clicked, true);
    };
  }, [work]);
  return (
    <Ask title="Leave without sending?" open={where !== ""} onClose={() => setWhere("")} yes="Leave" no="Stay here" act={async () => go(where)}>
      <p>Nothing has been sent. What you wrote is kept in this tab until you come back to Send.</p>
      {moving > 0 && <p>{count(moving, "file that is", "files that are")} being uploaded would have to be added again.</p>}
    </Ask>
  );
}
