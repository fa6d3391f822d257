import { useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { api, data, type Schemas } from "../../api/client";
import { Badge, Button, Card, Dialog, Empty, Input, Loaded, Time } from "../../ui";
import { bytes, count, sentence } from "../../words";
import { aboutTheMark, advice, fileNow, type Upload } from "./upload";

type File_ = Schemas["File"];

/** Files is what is sent: documents dropped, chosen, or there already. */
export function Files(p: {
  production: string;
  files: File_[];
  uploads: Upload[];
  begin: (files: File[]) => void;
  again: (id: number) => void;
  forget: (id: number) => void;
  change: (change: (files: File_[]) => File_[]) => void;
  /** The mark is another than the one with which files are looked into. */
  ownMark: boolean;
}) {
  const input = useRef<HTMLInputElement>(null);
  const [choosing, setChoosing] = useState(false);
  // A verdict that is not known yet comes by itself; until then it is asked for.
  const open = p.files.filter((f) => f.verdict !== "ok" && f.verdict !== "refused");
  const looked = useQueries({ queries: open.map((f) => ({ queryKey: ["file", p.production, f.sha256], queryFn: () => fileNow(p.production, f.sha256!), refetchInterval: 5000 })) });
  const known = looked.map((q) => q.data).filter((f) => f?.verdict === "ok" || f?.verdict === "refused");
  const news = known.map((f) => f!.sha256).join();
  useEffect(() => {
    if (known.length > 0) p.change((files) => files.map((f) => { const k = known.find((k) => k!.sha256 === f.sha256); return k ? { ...k, name: f.name } : f; }));
    // What is known is in news.
  }, [news]);
  const none = p.files.length + p.uploads.length === 0;
  return (
    <Card title="What" actions={<Button size="small" onClick={() => setChoosing(true)}>Files sent before…</Button>}>
      <div className="stack" style={{ gap: "var(--space-3)" }}>
        {!none && (
          <ul className="sendFiles" aria-label="Files to send">
            {p.files.map((f) => <Stored key={f.sha256} file={f} ownMark={p.ownMark} remove={() => p.change((files) => files.filter((x) => x.sha256 !== f.sha256))} />)}
            {p.uploads.map((u) => <Moving key={u.id} upload={u} again={() => p.again(u.id)} remove={() => p.forget(u.id)} />)}
          </ul>
        )}
        <button type="button" className="sendDrop" data-none={none || undefined} onClick={() => input.current?.click()}>
          <strong>{none ? "Drop files here, or choose them" : "Add more files"}</strong>
          {none && <span className="faint">PDF, PNG or JPEG. Everybody gets a copy of their own, with their name on every page.</span>}
        </button>
        <input ref={input} type="file" multiple hidden aria-label="Files to send" onChange={(e) => (p.begin([...(e.target.files ?? [])]), (e.target.value = ""))} />
      </div>
      <Dialog title="Files sent before" open={choosing} onClose={() => setChoosing(false)} wide>
        {choosing && (
          <Before production={p.production} chosen={p.files} done={() => setChoosing(false)}
            toggle={(f) => p.change((files) => (files.some((x) => x.sha256 === f.sha256) ? files.filter((x) => x.sha256 !== f.sha256) : [...files, f]))} />
        )}
      </Dialog>
    </Card>
  );
}

function Stored({ file, ownMark, remove }: { file: File_; ownMark: boolean; remove: () => void }) {
  const code = file.error_code || undefined;
  const refused = file.verdict === "refused";
  const doubtful = refused && ownMark && aboutTheMark(code);
  return (
    <li data-bad={(refused && !doubtful) || undefined}>
      <div className="sendFileLine">
        <span className="grow cut" title={file.name}><strong>{file.name}</strong></span>
        <span className="faint number">{file.pages ? `${count(file.pages, "page")}, ` : ""}{bytes(file.size)}</span>
        {doubtful ? <Badge tone="wait">To be seen</Badge> : refused ? <Badge tone="bad">Refused</Badge> : file.verdict === "ok" ? <Badge tone="good">Ready</Badge> : <Badge tone="wait">Being looked into</Badge>}
        <Button size="small" look="quiet" aria-label={`Remove ${file.name}`} onClick={remove}>✕</Button>
      </div>
      {doubtful && <p className="faint" title={sentence(file.error_message)}>With the usual mark it would be refused; whether yours shows is found out before anything is sent.</p>}
      {refused && !doubtful && <p className="sendWhy">{sentence(file.error_message) || "It cannot be marked."} {code && advice[code] && !file.error_message?.includes(":") && advice[code]} <code>{code}</code></p>}
      {file.notes?.map((n) => <p key={n} className="faint">{sentence(n)}</p>)}
    </li>
  );
}

function Moving({ upload: u, again, remove }: { upload: Upload; again: () => void; remove: () => void }) {
  const share = u.size ? Math.min(100, Math.floor((u.sent / u.size) * 100)) : 0;
  return (
    <li data-bad={u.state === "failed" || undefined}>
      <div className="sendFileLine">
        <span className="grow cut" title={u.name}><strong>{u.name}</strong></span>
        <span className="faint number">{u.state === "sending" ? `${bytes(u.sent)} of ${bytes(u.size)}` : bytes(u.size)}</span>
        {u.state === "failed" ? <Badge tone="bad">Not taken</Badge> : <Badge tone={u.state === "waiting" ? "wait" : "busy"}>{u.state === "waiting" ? "Waits" : u.state === "sending" ? `${share} %` : "Being looked into"}</Badge>}
        {u.state === "failed" && u.error?.retryable && <Button size="small" onClick={again}>Try again</Button>}
        <Button size="small" look="quiet" aria-label={`${u.state === "failed" ? "Remove" : "Stop sending"} ${u.name}`} onClick={remove}>✕</Button>
      </div>
      {u.state === "failed" ? (
        <p className="sendWhy">{sentence(u.error?.message)} {u.error && advice[u.error.code]} <code>{u.error?.code}</code></p>
      ) : (
        <progress max={100} value={u.state === "looked" ? undefined : share} aria-label={`${u.name}: ${u.state === "looked" ? "being looked into" : `${share} % sent`}`} />
      )}
    </li>
  );
}

/** Before chooses among what the production has stored. */
function Before(p: { production: string; chosen: File_[]; toggle: (f: File_) => void; done: () => void }) {
  const [find, setFind] = useState("");
  const list = useInfiniteQuery({
    queryKey: ["files", p.production],
    queryFn: ({ pageParam }) => data(api.GET("/v1/productions/{production}/files", { params: { path: { production: p.production }, query: { page_size: 100, page_token: pageParam } } })),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_page_token || undefined,
  });
  return (
    <>
      <Input type="search" aria-label="Find a file by its name" placeholder="Find by name" value={find} onChange={(e) => setFind(e.target.value)} />
      <Loaded query={list}>
        {(pages) => {
          const all = pages.pages.flatMap((x) => x.files ?? []);
          const found = all.filter((f) => f.name?.toLowerCase().includes(find.trim().toLowerCase()));
          if (all.length === 0) return <Empty title="Nothing has been uploaded yet">What you drop into this page is kept, and can be chosen here next time.</Empty>;
          return (
            <div className="sendBefore">
              {found.map((f) => (
                <label key={f.sha256}>
                  <input type="checkbox" checked={p.chosen.some((x) => x.sha256 === f.sha256)} disabled={f.verdict === "refused" && !aboutTheMark(f.error_code)} onChange={() => p.toggle(f)} />
                  <span className="grow cut" title={f.name}>{f.name}</span>
                  <span className="faint number">{f.pages ? `${count(f.pages, "page")}, ` : ""}{bytes(f.size)}</span>
                  {f.verdict === "refused" ? <span title={f.error_message}><Badge tone="bad">Refused</Badge></span> : <span className="faint"><Time at={f.created_at} /></span>}
                </label>
              ))}
              {found.length === 0 && <p className="soft">No file of that name{list.hasNextPage ? " among those shown; there are older ones" : ""}.</p>}
              {list.hasNextPage && <div><Button size="small" busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>Show older ones</Button></div>}
            </div>
          );
        }}
      </Loaded>
      <footer><Button look="main" onClick={p.done}>Done</Button></footer>
    </>
  );
}
