import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError, failure } from "../../api/client";
import { Button, Dialog } from "../../ui";
import { useSettled } from "../../ui/settled";
import { number, sentence } from "../../words";
import { fieldsIn, titleOf, type Draft, type Row } from "./draft";
import { aboutTheMark } from "./upload";

/** Somebody, as long as nobody is named. */
const nobody: Pick<Row, "name" | "email" | "fields"> = { name: "Maren Voss", email: "maren.voss@example.com", fields: {} };

/** address is where the picture of a page lies, as one recipient's copy of a file will have it. */
export function address(production: string, file: string, page: number, d: Draft, who: Pick<Row, "name" | "email" | "fields">, number: number): string {
  const q = new URLSearchParams({ page: String(page), width: "1000", name: who.name || who.email, email: who.email });
  if (d.mark.trim()) q.set("mark", d.mark);
  if (d.layout !== "diagonal") q.set("layout", d.layout);
  if (d.color) q.set("color", d.color);
  if (d.opacity) q.set("opacity", String(d.opacity));
  if (d.size) q.set("size", String(d.size));
  if (d.pages.trim()) q.set("pages", d.pages.trim());
  // Only what the mark names, so that a change of anything else asks for no new picture.
  const named = new Set(fieldsIn(d.mark));
  const told: Record<string, string> = { ...Object.fromEntries(d.columns.map((c) => [c, ""])), ...who.fields, title: titleOf(d), copy: String(number) };
  for (const [field, value] of Object.entries(told)) if (named.has(field)) q.set(`field.${field}`, value);
  return `/v1/productions/${encodeURIComponent(production)}/files/${file}/preview?${q}`;
}

async function picture(url: string, signal: AbortSignal): Promise<Blob> {
  let answer: Response;
  try {
    answer = await fetch(url, { signal });
  } catch (e) {
    if ((e as Error).name === "AbortError") throw e;
    throw new ApiError(0, "OFFLINE", "The server cannot be reached; the picture is from before.", true);
  }
  if (!answer.ok) throw await failure(answer);
  return answer.blob();
}

/** Preview shows any page of any file as any recipient will have it. The picture before stays until the next is there. */
export function Preview({ production, draft: d }: { production: string; draft: Draft }) {
  const [fileAt, setFile] = useState("");
  const [page, setPage] = useState(1);
  const [whoAt, setWho] = useState(0);
  const [large, setLarge] = useState(false);
  const queries = useQueryClient();
  const files = d.files.filter((f) => f.verdict !== "refused" || aboutTheMark(f.error_code));
  const file = files.find((f) => f.sha256 === fileAt) ?? files[0];
  const last = Math.max(1, file?.pages ?? 1);
  const at = Math.min(page, last);
  const i = Math.max(0, d.rows.findIndex((r) => r.id === whoAt));
  const who = d.rows[i] ?? nobody;
  const wanted = file ? address(production, file.sha256!, at, d, who, i + 1) : "";
  const url = useSettled(wanted, 300);
  const shown = useQuery({
    queryKey: ["preview", url],
    queryFn: ({ signal }) => picture(url, signal),
    enabled: url !== "",
    placeholderData: keepPreviousData,
    staleTime: 5 * 60_000,
    gcTime: 60_000,
    refetchOnWindowFocus: false,
  });
  const src = useObjectUrl(shown.data);
  const error = shown.error as ApiError | null;
  const busy = wanted !== url || (shown.isFetching && !error);
  // The next page is likely to be looked at; it is made while this one is.
  useEffect(() => {
    if (!file || !shown.data || shown.isPlaceholderData || at >= last) return;
    const next = address(production, file.sha256!, at + 1, d, who, i + 1);
    void queries.prefetchQuery({ queryKey: ["preview", next], queryFn: ({ signal }) => picture(next, signal), staleTime: 5 * 60_000, gcTime: 60_000 });
    // Once for each picture that came.
  }, [shown.data, shown.isPlaceholderData]);
  const alt = `Page ${at} of ${file?.name}, as ${who.name || who.email}'s copy`;
  return (
    <section className="card sendPreview" aria-label="Preview">
      <div className="sendPaper" aria-busy={busy}>
        {src && file ? (
          <button type="button" className="sendEnlarge" onClick={() => setLarge(true)} title="Look at it in large">
            <img src={src} alt={alt} data-old={error ? true : undefined} />
          </button>
        ) : (
          <p className="faint">{file ? (error ? "" : "The first picture is being made…") : d.files.length ? "There is no file that can be shown." : "A page of what is sent, with its mark, shows here once there is a file."}</p>
        )}
        {busy && src && <span className="sendBusy" role="status">being drawn…</span>}
        {error && (
          <div className="sendNoPicture" role="alert">
            {sentence(error.message)} {error.retryable && <Button size="small" onClick={() => void shown.refetch()}>Try again</Button>}
          </div>
        )}
      </div>
      <Dialog title={alt} open={large && !!src} onClose={() => setLarge(false)} wide>
        <img src={src} alt={alt} style={{ width: "100%" }} />
        <footer>
          <Button disabled={at <= 1} onClick={() => setPage(at - 1)}>Page before</Button>
          <Button disabled={at >= last} onClick={() => setPage(at + 1)}>Next page</Button>
          <Button look="main" onClick={() => setLarge(false)}>Close</Button>
        </footer>
      </Dialog>
      <div className="sendTurn">
        {files.length > 1 && (
          <select className="input" aria-label="File to look at" value={file?.sha256} onChange={(e) => (setFile(e.target.value), setPage(1))}>
            {files.map((f) => <option key={f.sha256} value={f.sha256}>{f.name}</option>)}
          </select>
        )}
        <span className="row sendSteps">
          <Button size="small" aria-label="Page before" disabled={at <= 1} onClick={() => setPage(at - 1)}>‹</Button>
          <label className="number faint">
            <span className="unseen">Page</span>
            <input className="input" type="number" min={1} max={last} value={at} onChange={(e) => setPage(Math.max(1, Math.min(last, e.target.valueAsNumber || 1)))} /> of {number(last)}
          </label>
          <Button size="small" aria-label="Next page" disabled={at >= last} onClick={() => setPage(at + 1)}>›</Button>
        </span>
        <span className="row sendSteps grow">
          <Button size="small" aria-label="Person before" disabled={d.rows.length === 0 || i <= 0} onClick={() => setWho(d.rows[i - 1]!.id)}>‹</Button>
          {d.rows.length > 300 || d.rows.length === 0 ? (
            <span className="cut faint grow" title={who.email}>{d.rows.length ? who.name || who.email : "as an example"}</span>
          ) : (
            <select className="input grow" aria-label="Whose copy to look at" value={who === nobody ? "" : d.rows[i]!.id} onChange={(e) => setWho(Number(e.target.value))}>
              {d.rows.map((r) => <option key={r.id} value={r.id}>{r.name || r.email || "without a name"}</option>)}
            </select>
          )}
          <Button size="small" aria-label="Next person" disabled={i >= d.rows.length - 1} onClick={() => setWho(d.rows[i + 1]!.id)}>›</Button>
        </span>
      </div>
    </section>
  );
}

/** useObjectUrl is an address of a blob's bytes, let go when the next is there. */
function useObjectUrl(blob: Blob | undefined): string | undefined {
  const [url, set] = useState<string>();
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    set(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}
