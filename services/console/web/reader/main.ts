// The reader: a recipient's copy, page by page, quick on a phone. PDF.js fetches only what is looked at, by Range, and its
// viewer draws only the pages in sight. Everything comes from the origin of the page.
import { AnnotationMode, getDocument, GlobalWorkerOptions, PasswordResponses, type PDFDocumentProxy } from "pdfjs-dist";
import { EventBus, LinkTarget, PDFLinkService, PDFViewer } from "pdfjs-dist/web/pdf_viewer.mjs";
import "pdfjs-dist/web/pdf_viewer.css";
import "./reader.css";

const ours = new URL("./", import.meta.url); // where this script and what belongs to it lie
GlobalWorkerOptions.workerSrc = new URL("pdf.worker.min.mjs", ours).href;

const by = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const root = document.documentElement;
const source = root.dataset.document!;

const bus = new EventBus();
const links = new PDFLinkService({ eventBus: bus, externalLinkTarget: LinkTarget.BLANK, externalLinkRel: "noopener noreferrer nofollow" });
const viewer = new PDFViewer({
  container: by<HTMLDivElement>("pages"),
  viewer: by<HTMLDivElement>("viewer"),
  eventBus: bus,
  linkService: links,
  annotationMode: AnnotationMode.ENABLE, // links work; forms are not filled in here
  // A page of a phone with a dense screen is sharp enough with this many points, and fits into its memory.
  maxCanvasPixels: 2 ** 24,
});
links.setViewer(viewer);

/** say shows a sentence in place of the pages. */
function say(heading: string, text: string) {
  by("said-heading").textContent = heading;
  by("said-text").textContent = text;
  by("said").hidden = false;
  by("busy").hidden = true;
}

/** Headings of what the server says; its sentences are its own. */
const headings: Record<string, string> = {
  SESSION_ENDED: "Your documents are closed",
  LINK_REVOKED: "This link was taken back",
  LINK_EXPIRED: "This link has expired",
  NOT_FOUND: "Nothing here",
};

let telling = false;

/** trouble asks the server why what was fetched did not come, and tells that; a document that it still gives is not asked for whole. */
async function trouble(otherwise: () => void) {
  if (telling) return;
  telling = true;
  try {
    if ((await fetch(source, { method: "HEAD" })).ok) {
      telling = false;
      return otherwise();
    }
    const answer = await fetch(source, { headers: { Accept: "application/json" } });
    const { code, message } = ((await answer.json()) as { error: { code: string; message: string } }).error;
    say(headings[code] ?? "Not available right now", message);
  } catch {
    telling = false;
    say("The document does not come", "The server cannot be reached. Check whether you are online, and load this page again.");
  }
}

const busyNoMore = () => void (by("busy").hidden = true);

function shown(total: number) {
  const field = by<HTMLInputElement>("page");
  by("total").textContent = String(total);
  field.max = String(total);
  field.addEventListener("change", () => {
    const n = Math.min(Math.max(1, Math.round(Number(field.value)) || 1), total);
    viewer.currentPageNumber = n;
    field.value = String(n);
  });
  bus.on("pagechanging", (e: { pageNumber: number }) => {
    field.value = String(e.pageNumber);
    by("before").toggleAttribute("disabled", e.pageNumber <= 1);
    by("after").toggleAttribute("disabled", e.pageNumber >= total);
  });
  by("before").addEventListener("click", () => viewer.previousPage());
  by("after").addEventListener("click", () => viewer.nextPage());
  by("before").setAttribute("disabled", "");
  by("after").toggleAttribute("disabled", total <= 1);
}

by("larger").addEventListener("click", () => viewer.increaseScale());
by("smaller").addEventListener("click", () => viewer.decreaseScale());
by("fit").addEventListener("click", () => (viewer.currentScaleValue = "page-width"));
document.addEventListener("keydown", (e) => {
  if (e.target instanceof HTMLInputElement || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "+" || e.key === "=") viewer.increaseScale();
  else if (e.key === "-") viewer.decreaseScale();
  else if (e.key === "0") viewer.currentScaleValue = "page-width";
  else if (e.key === "ArrowRight" || e.key === "n") viewer.nextPage();
  else if (e.key === "ArrowLeft" || e.key === "p") viewer.previousPage();
  else if (e.key === "Home") viewer.currentPageNumber = 1;
  else if (e.key === "End") viewer.currentPageNumber = viewer.pagesCount;
  else return;
  e.preventDefault();
});

// Two fingers zoom the page rather than the bar around it.
let apart = 0;
const distance = (t: TouchList) => Math.hypot(t[0]!.clientX - t[1]!.clientX, t[0]!.clientY - t[1]!.clientY);
by("pages").addEventListener("touchstart", (e) => (apart = e.touches.length === 2 ? distance(e.touches) : 0), { passive: true });
by("pages").addEventListener(
  "touchmove",
  (e) => {
    if (e.touches.length !== 2 || apart === 0) return;
    e.preventDefault();
    const now = distance(e.touches);
    if (Math.abs(now / apart - 1) < 0.02) return;
    const [a, b] = [e.touches[0]!, e.touches[1]!];
    viewer.updateScale({ scaleFactor: now / apart, drawingDelay: 300, origin: [(a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2] });
    apart = now;
  },
  { passive: false },
);

let timer = 0;
addEventListener("resize", () => {
  clearTimeout(timer);
  timer = window.setTimeout(() => {
    if (viewer.currentScaleValue === "page-width" || viewer.currentScaleValue === "auto") viewer.currentScaleValue = viewer.currentScaleValue;
    viewer.update();
  }, 150);
});

bus.on("pagesinit", () => {
  viewer.currentScaleValue = innerWidth < 900 ? "page-width" : "auto";
});
bus.on("pagerendered", (e: { error?: unknown }) => {
  busyNoMore();
  if (e.error) void trouble(busyNoMore);
});

const loading = getDocument({
  url: source,
  // A page in the middle of a long script is fetched alone; the rest waits until it is looked at.
  disableAutoFetch: true,
  disableStream: true,
  rangeChunkSize: 1 << 17,
  cMapUrl: new URL("cmaps/", ours).href,
  standardFontDataUrl: new URL("standard_fonts/", ours).href,
  wasmUrl: new URL("wasm/", ours).href,
  iccUrl: new URL("iccs/", ours).href,
  enableXfa: false,
});

const lock = by<HTMLDialogElement>("lock");
loading.onPassword = (use: (password: string) => void, why: number) => {
  by("busy").hidden = true;
  by("wrong").hidden = why !== PasswordResponses.INCORRECT_PASSWORD;
  const field = by<HTMLInputElement>("password");
  field.value = "";
  if (!lock.open) lock.showModal();
  field.focus();
  by<HTMLFormElement>("unlock").onsubmit = (e) => {
    e.preventDefault();
    by("busy").hidden = false;
    use(field.value);
  };
};
lock.addEventListener("cancel", (e) => e.preventDefault());

try {
  const pdf: PDFDocumentProxy = await loading.promise;
  lock.close();
  // The viewer says to nobody that a page did not come.
  const getPage = pdf.getPage.bind(pdf);
  pdf.getPage = (n) => {
    const page = getPage(n);
    page.catch(() => trouble(busyNoMore));
    return page;
  };
  viewer.setDocument(pdf);
  links.setDocument(pdf);
  shown(pdf.numPages);
} catch {
  lock.close();
  await trouble(() => say("This document could not be shown here", "Open it in your device's own viewer instead, with the button above."));
}
