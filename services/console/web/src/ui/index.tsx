import * as RadixDialog from "@radix-ui/react-dialog";
import * as RadixMenu from "@radix-ui/react-dropdown-menu";
import {
  Fragment, useEffect, useId, useRef, useState, useSyncExternalStore,
  type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, type Ref, type TextareaHTMLAttributes,
} from "react";
import { Link } from "wouter";
import { ApiError, newKey } from "../api/client";
import { ago, sentence, stateWord, type Tone, type Word } from "../words";
import "./ui.css";

type Look = "main" | "bad" | "quiet";

/** Button. While busy it says so and cannot be pressed again. */
export function Button({ look, size, busy, children, ...rest }: ButtonHTMLAttributes<HTMLButtonElement> & { look?: Look; size?: "small"; busy?: boolean }) {
  return (
    <button type="button" className="button" data-look={look} data-size={size} aria-busy={busy || undefined} {...rest} disabled={rest.disabled || busy}>
      {children}
    </button>
  );
}

/** Go is a link that looks like a button. */
export function Go({ to, look, size, children }: { to: string; look?: Look; size?: "small"; children: ReactNode }) {
  return (
    <Link href={to} className="button" data-look={look} data-size={size}>
      {children}
    </Link>
  );
}

/** Field is a labelled control with a hint and what is wrong with it; the control gets its id and aria attributes. */
export function Field(p: { label: string; hint?: ReactNode; wrong?: string; children: (a: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => ReactNode }) {
  const id = useId();
  const said = p.wrong ?? p.hint;
  return (
    <div className="field">
      <label htmlFor={id}>{p.label}</label>
      {p.children({ id, "aria-describedby": said ? `${id}-said` : undefined, "aria-invalid": p.wrong ? true : undefined })}
      {said && (
        <span id={`${id}-said`} className={p.wrong ? "wrong" : "hint"} role={p.wrong ? "alert" : undefined}>
          {said}
        </span>
      )}
    </div>
  );
}

export const Input = (p: InputHTMLAttributes<HTMLInputElement>) => <input className="input" {...p} />;
export const Area = (p: TextareaHTMLAttributes<HTMLTextAreaElement> & { ref?: Ref<HTMLTextAreaElement> }) => <textarea className="input" {...p} />;

/** Choice is one of a few, all in sight. */
export function Choice<T extends string>(p: { label: string; value: T; options: [T, string][]; onChange: (v: T) => void }) {
  const name = useId();
  return (
    <fieldset className="field" style={{ border: 0, padding: 0, margin: 0 }}>
      <legend className="label" style={{ padding: 0, marginBottom: "var(--space-1)" }}>{p.label}</legend>
      <span className="choice">
        {p.options.map(([value, text]) => (
          <label key={value}>
            <input type="radio" name={name} checked={p.value === value} onChange={() => p.onChange(value)} />
            {text}
          </label>
        ))}
      </span>
    </fieldset>
  );
}

export const Badge = (p: { tone: Tone; children: ReactNode }) => <span className="badge" data-tone={p.tone}>{p.children}</span>;

/** State is a state in plain words; what it means shows when it is pointed at or reached by keyboard. */
export function State(p: { of: Record<string, Word>; is: string | undefined }) {
  const w = stateWord(p.of, p.is);
  return (
    <span title={w.means || undefined}>
      <Badge tone={w.tone}>{w.text}</Badge>
    </span>
  );
}

/** Card is a titled piece of a page. */
export function Card(p: { title?: ReactNode; actions?: ReactNode; bare?: boolean; children: ReactNode }) {
  const id = useId();
  return (
    <section className="card" aria-labelledby={p.title ? id : undefined}>
      {p.title && (
        <header>
          <h2 id={id}>{p.title}</h2>
          {p.actions}
        </header>
      )}
      {p.bare ? p.children : <div className="body">{p.children}</div>}
    </section>
  );
}

/** PageHead says where one is and what can be done here; it names the browser's tab, too. */
export function PageHead(p: { title: string; above?: ReactNode; below?: ReactNode; beside?: ReactNode; actions?: ReactNode }) {
  useEffect(() => {
    document.title = `${p.title} · Filigree`;
  }, [p.title]);
  return (
    <div className="pageHead">
      <div className="titles">
        {p.above && <nav className="crumbs" aria-label="Where this is">{p.above}</nav>}
        <div className="row">
          <h1 style={{ overflowWrap: "anywhere" }}>{p.title}</h1>
          {p.beside}
        </div>
        {p.below && <div className="soft">{p.below}</div>}
      </div>
      {p.actions && <div className="actions">{p.actions}</div>}
    </div>
  );
}

/** Tabs are links: each has a URL of its own. */
export function Tabs(p: { label: string; here: string; tabs: { to: string; id: string; text: ReactNode }[] }) {
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // Where there is no room for all, the one that is open is in sight.
    const open = nav.current?.querySelector<HTMLElement>("[aria-current]");
    if (open && nav.current) nav.current.scrollLeft = open.offsetLeft - nav.current.offsetLeft - 24;
  }, [p.here]);
  return (
    <nav className="tabs" aria-label={p.label} ref={nav}>
      {p.tabs.map((t) => (
        <Link key={t.id} href={t.to} aria-current={t.id === p.here ? "page" : undefined}>
          {t.text}
        </Link>
      ))}
    </nav>
  );
}

export function Notice(p: { tone: Tone; title?: ReactNode; children?: ReactNode; actions?: ReactNode; alert?: boolean }) {
  return (
    <div className="notice" data-tone={p.tone} role={p.alert ? "alert" : undefined}>
      <div className="grow">
        {p.title && <strong>{p.title} </strong>}
        {p.children && <span className={p.title ? "more" : undefined}>{p.children}</span>}
      </div>
      {p.actions}
    </div>
  );
}

/** Trouble says what went wrong with reading or doing something, and offers to try again where that can help. */
export function Trouble({ error, again }: { error: Error; again?: () => void }) {
  const known = error instanceof ApiError ? error : undefined;
  return (
    <Notice tone={known?.code === "OFFLINE" ? "wait" : "bad"} alert actions={again && (known?.retryable ?? true) ? <Button size="small" onClick={again}>Try again</Button> : undefined}>
      {sentence(error.message)} {known && known.code !== "OFFLINE" && <code className="faint">{known.code}</code>}
    </Notice>
  );
}

/** Empty says that there is nothing yet, and what to do about it. */
export const Empty = (p: { title: string; children?: ReactNode; action?: ReactNode }) => (
  <div className="empty">
    <h2>{p.title}</h2>
    {p.children && <p>{p.children}</p>}
    {p.action}
  </div>
);

/** Bones stand where lines will be, as high as these, so that nothing jumps. */
export const Bones = ({ lines = 4 }: { lines?: number }) => (
  <div className="stack" role="status" aria-label="Loading" style={{ gap: "var(--space-3)" }}>
    {Array.from({ length: lines }, (_, i) => (
      <span key={i} className="bone" style={{ width: `${[92, 78, 85, 64][i % 4]}%` }} />
    ))}
  </div>
);

/** Loaded shows a query's data, or honestly why there is none; data from before stay in sight while they are fetched again. */
export function Loaded<T>(p: { query: { data?: T; error: Error | null; refetch: () => unknown }; lines?: number; children: (data: T) => ReactNode }) {
  const { data, error, refetch } = p.query;
  if (data === undefined) return error ? <Trouble error={error} again={() => void refetch()} /> : <Bones lines={p.lines} />;
  return (
    <>
      {error && <Trouble error={error} again={() => void refetch()} />}
      {p.children(data)}
    </>
  );
}

/** Bar shows shares of a whole by tone; it is read out as its label. */
export const Bar = (p: { label: string; parts: [Tone, number][] }) => (
  <div className="bar" role="img" aria-label={p.label}>
    {p.parts.map(([tone, n], i) => n > 0 && <span key={i} data-tone={tone} style={{ flexGrow: n }} />)}
  </div>
);

const ticks = new Set<() => void>();
let tick = Date.now();
setInterval(() => {
  tick = Date.now();
  for (const f of ticks) f();
}, 1000);

/** useNow is the time in milliseconds, anew each second; all of a page share one clock. */
export const useNow = () => useSyncExternalStore((f) => (ticks.add(f), () => ticks.delete(f)), () => tick);

const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Time is relative in sight and absolute when pointed at. */
export function Time({ at }: { at: string | null | undefined }) {
  const now = useNow();
  if (!at) return <span className="faint">–</span>;
  const t = Date.parse(at);
  return (
    <time dateTime={at} title={absolute.format(t)} className="number" style={{ whiteSpace: "nowrap" }}>
      {ago(t, now)}
    </time>
  );
}

/** Dialog. It keeps the keyboard inside and gives it back; Escape closes it. */
export function Dialog(p: { title: string; open: boolean; onClose: () => void; wide?: boolean; children: ReactNode }) {
  return (
    <RadixDialog.Root open={p.open} onOpenChange={(o) => !o && p.onClose()}>
      <RadixDialog.Portal>
        <RadixDialog.Overlay className="overlay" />
        <RadixDialog.Content className="dialog" data-wide={p.wide || undefined} aria-describedby={undefined}>
          <RadixDialog.Title asChild>
            <h2>{p.title}</h2>
          </RadixDialog.Title>
          {p.children}
        </RadixDialog.Content>
      </RadixDialog.Portal>
    </RadixDialog.Root>
  );
}

/** KeyOf is the header of a write that must not be done twice: the same as long as what is asked for is the same and not known to be done. */
export type KeyOf = (what: unknown) => { "Idempotency-Key": string };

/** Ask is a dialog that says what will happen before it is done; what went wrong stays in it. */
export function Ask(p: { title: string; open: boolean; onClose: () => void; yes: string; no?: string; look?: Look; act: (keyOf: KeyOf) => Promise<unknown>; children: ReactNode }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const keys = useRef(new Map<string, string>());
  const keyOf: KeyOf = (what) => {
    const text = JSON.stringify(what);
    const key = keys.current.get(text) ?? newKey();
    keys.current.set(text, key);
    return { "Idempotency-Key": key };
  };
  const act = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await p.act(keyOf);
      keys.current.clear();
      p.onClose();
    } catch (e) {
      setError(e as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={p.title} open={p.open} onClose={p.onClose}>
      <div className="stack">{p.children}</div>
      {error && <Trouble error={error} />}
      <footer>
        <Button onClick={p.onClose}>{p.no ?? "Leave it"}</Button>
        <Button look={p.look ?? "main"} busy={busy} onClick={() => void act()}>
          {p.yes}
        </Button>
      </footer>
    </Dialog>
  );
}

/** Menu of actions behind a button. */
export function Menu(p: { label: ReactNode; name?: string; items: ({ text: ReactNode; act: () => void; look?: "bad"; disabled?: boolean } | null)[] }) {
  return (
    <RadixMenu.Root>
      <RadixMenu.Trigger className="button" data-size="small" data-look="quiet" aria-label={p.name}>
        {p.label}
      </RadixMenu.Trigger>
      <RadixMenu.Portal>
        <RadixMenu.Content className="menu" align="end" sideOffset={4}>
          {p.items.map((item, i) =>
            item ? (
              <RadixMenu.Item key={i} data-look={item.look} disabled={item.disabled} onSelect={item.act}>
                {item.text}
              </RadixMenu.Item>
            ) : (
              <Fragment key={i}><hr /></Fragment>
            ),
          )}
        </RadixMenu.Content>
      </RadixMenu.Portal>
    </RadixMenu.Root>
  );
}

export const Kbd = (p: { children: ReactNode }) => <kbd className="kbd">{p.children}</kbd>;

interface Toast {
  id: number;
  tone: Tone;
  text: ReactNode;
  undo?: { text: string; act: () => void };
}
let toasts: Toast[] = [];
const toastListeners = new Set<() => void>();
const setToasts = (t: Toast[]) => {
  toasts = t;
  for (const f of toastListeners) f();
};
let toastId = 0;

/** toast says in passing that something was done, or went wrong; it goes by itself, what went wrong stays until dismissed. */
export function toast(tone: Tone, text: ReactNode, undo?: Toast["undo"]) {
  const id = ++toastId;
  setToasts([...toasts.slice(-3), { id, tone, text, undo }]);
  if (tone !== "bad") setTimeout(() => dismiss(id), 6000);
}
const dismiss = (id: number) => setToasts(toasts.filter((t) => t.id !== id));

export function Toasts() {
  const list = useSyncExternalStore((f) => (toastListeners.add(f), () => toastListeners.delete(f)), () => toasts);
  useEffect(() => () => setToasts([]), []); // what they say is not for who signs in next
  return (
    <div className="toasts" role="status" aria-live="polite">
      {list.map((t) => (
        <div key={t.id} className="toast" data-tone={t.tone}>
          <span className="grow">{t.text}</span>
          {t.undo && <Button size="small" onClick={() => (t.undo!.act(), dismiss(t.id))}>{t.undo.text}</Button>}
          <Button size="small" look="quiet" aria-label="Dismiss" onClick={() => dismiss(t.id)}>✕</Button>
        </div>
      ))}
    </div>
  );
}

/** Copy puts something into the clipboard. */
export function Copy({ text, name }: { text: string; name: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    } catch {
      toast("bad", `The browser did not let ${name} be copied, as on pages that come by plain http. Select it by hand.`);
    }
  };
  return (
    <Button size="small" look="quiet" aria-label={`Copy ${name}`} onClick={() => void copy()}>
      {done ? "Copied" : "Copy"}
    </Button>
  );
}
