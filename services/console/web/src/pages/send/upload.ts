import { useCallback, useEffect, useRef, useState } from "react";
import { api, ApiError, data, headers, type Schemas } from "../../api/client";

/** Upload is a document under way to the server. */
export interface Upload {
  id: number;
  name: string;
  size: number;
  /** waiting for its turn; sending its bytes; looked into by the server; failed, or not taken at all. */
  state: "waiting" | "sending" | "looked" | "failed";
  sent: number;
  error?: ApiError;
}

/** atOnce is how many documents are sent at the same time: more do not come sooner, and each of the first comes later. */
const atOnce = 2;

let newest = 0;

/** post sends a document's bytes; XMLHttpRequest, since fetch does not tell how far it is. */
function post(production: string, file: File, told: (sent: number) => void, stop: AbortSignal): Promise<Schemas["File"]> {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest();
    x.open("POST", `/v1/productions/${encodeURIComponent(production)}/files?name=${encodeURIComponent(file.name)}`);
    for (const [name, value] of Object.entries(headers("POST"))) x.setRequestHeader(name, value);
    x.setRequestHeader("Content-Type", "application/octet-stream");
    x.upload.onprogress = (e) => told(e.loaded);
    x.upload.onload = () => told(file.size);
    x.onload = () => {
      if (x.status === 201 || x.status === 200) return resolve({ ...(JSON.parse(x.responseText) as Schemas["File"]), name: file.name });
      let error: { code?: string; message?: string; retryable?: boolean } = {};
      try {
        error = (JSON.parse(x.responseText) as { error?: typeof error }).error ?? {};
      } catch {
        // Something in between answered: its status is all there is.
      }
      reject(new ApiError(x.status, error.code ?? `HTTP_${x.status}`, error.message ?? `The server answered ${x.status} without saying why.`, error.retryable ?? x.status >= 500));
    };
    x.onerror = () =>
      reject(new ApiError(0, "OFFLINE", file.size > 200e6
        ? "The connection broke. The file is larger than 200 MB, which is more than a server takes unless it was told to: make it smaller, or ask an administrator."
        : "The connection broke before the whole file was sent; nothing of it was kept.", true));
    x.onabort = () => reject(new DOMException("stopped", "AbortError"));
    stop.addEventListener("abort", () => x.abort());
    x.send(file);
  });
}

/** useUploads sends documents, two at a time, and hands over each that is stored. */
export function useUploads(production: string, stored: (f: Schemas["File"]) => void) {
  const [uploads, set] = useState<Upload[]>([]);
  const sources = useRef(new Map<number, { file: File; stop: AbortController }>());
  const tell = useRef(stored);
  tell.current = stored;
  const patch = useCallback((id: number, change: Partial<Upload>) => set((all) => all.map((u) => (u.id === id ? { ...u, ...change } : u))), []);
  const forget = useCallback((id: number) => {
    sources.current.get(id)?.stop.abort();
    sources.current.delete(id);
    set((all) => all.filter((u) => u.id !== id));
  }, []);
  const begin = useCallback(
    (files: File[]) => {
      const fresh = files.map((file): Upload => {
        const id = ++newest;
        sources.current.set(id, { file, stop: new AbortController() });
        const empty = file.size === 0 ? new ApiError(400, "FILE_EMPTY", "The file is empty, or it is a folder: choose the document itself.", false) : undefined;
        return { id, name: file.name, size: file.size, state: empty ? "failed" : "waiting", sent: 0, error: empty };
      });
      set((all) => [...all, ...fresh]);
    },
    [],
  );
  const again = useCallback((id: number) => patch(id, { state: "waiting", sent: 0, error: undefined }), [patch]);
  useEffect(() => {
    const busy = uploads.filter((u) => u.state === "sending" || u.state === "looked").length;
    for (const u of uploads.filter((u) => u.state === "waiting").slice(0, Math.max(0, atOnce - busy))) {
      const source = sources.current.get(u.id);
      if (!source) continue;
      patch(u.id, { state: "sending" });
      post(production, source.file, (sent) => patch(u.id, sent >= u.size ? { sent, state: "looked" } : { sent }), source.stop.signal).then(
        (file) => {
          tell.current(file);
          forget(u.id);
        },
        (e: Error) => e.name !== "AbortError" && patch(u.id, { state: "failed", error: e as ApiError }),
      );
    }
  }, [uploads, production, patch, forget]);
  // React's strict mode leaves and comes back at once: only a page that stays away stops what it sends.
  useEffect(() => {
    const all = sources.current;
    let back = false;
    return () => {
      back = true;
      window.setTimeout(() => back && document.querySelector("[data-page=send]") === null && all.forEach((s) => s.stop.abort()), 0);
    };
  }, []);
  return { uploads, begin, again, forget };
}

/** fileNow reads what the server knows about a document. */
export const fileNow = (production: string, file: string) => data(api.GET("/v1/productions/{production}/files/{file}", { params: { path: { production, file } } }));

/** advice says what to do about a document that was refused, where the server's own sentence does not. */
export const advice: Record<string, string> = {
  PDF_ENCRYPTED: "Save a copy without a password, and add that.",
  PDF_BROKEN: "Open it where it was made, export it as PDF anew, and add that.",
  PDF_NO_PAGES: "Export it anew; there must be at least one page in it.",
  PDF_TOO_COMPLEX: "Print it into a PDF (Save as PDF in the print dialog), and add that.",
  PDF_UNRENDERABLE: "Print it into a PDF (Save as PDF in the print dialog), and add that.",
  PDF_TOO_MANY_PAGES: "Split it into parts, and send these.",
  PDF_MARK_HIDDEN: "Another look of the mark may show: try another layout or colour, or print the file into a PDF.",
  MARK_OBSCURES_TEXT: "Make the mark lighter or choose another layout.",
  IMAGE_BROKEN: "Save the picture anew as PNG or JPEG, and add that.",
  IMAGE_UNSUPPORTED: "Save the picture as PNG or JPEG, and add that.",
  IMAGE_TOO_LARGE: "Make the picture smaller, and add that.",
};

/** aboutTheMark tells a refusal that depends on the mark, which may be another, from one of the document. */
export const aboutTheMark = (code: string | undefined) => code === "PDF_MARK_HIDDEN" || code === "MARK_OBSCURES_TEXT";
