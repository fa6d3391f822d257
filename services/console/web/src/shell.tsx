import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";
import { Link, useLocation, useRoute } from "wouter";
import { forget, mayOperate, maySend, signOut, useSession } from "./api/session";
import { useProductions } from "./app";
import { Palette } from "./palette";
import { to } from "./routes";
import { setTheme, theme, type Theme } from "./theme";
import { Button, Kbd, Menu, toast, Toasts, Trouble } from "./ui";

/** Shell is what stands around every page: where one can go, who one is. */
export function Shell({ children }: { children: ReactNode }) {
  const [open, setOpen] = useState(false);
  const [where] = useLocation();
  const [offline, setOffline] = useState(!navigator.onLine);
  useEffect(() => setOpen(false), [where]);
  useEffect(() => {
    const told = () => setOffline(!navigator.onLine);
    addEventListener("online", told);
    addEventListener("offline", told);
    return () => (removeEventListener("online", told), removeEventListener("offline", told));
  }, []);
  return (
    <>
      <a className="button skip" href="#main">Skip to the page</a>
      <div className="top">
        <Brand />
        <PaletteButton />
        <Button size="small" aria-expanded={open} aria-controls="side" onClick={() => setOpen(!open)}>Menu</Button>
      </div>
      <div className="shell">
        <aside id="side" className="side" data-open={open || undefined}>
          <Brand />
          <PaletteButton wide />
          <Ways />
          <Who />
        </aside>
        <main id="main" className="main" tabIndex={-1}>
          <div className="page">
            {offline && <Trouble error={new Error("You are offline. What you see is from before; it goes on by itself when you are back.")} />}
            {children}
          </div>
        </main>
      </div>
      <Palette />
      <Toasts />
    </>
  );
}

const Brand = () => (
  <Link href="/app" className="brand">
    <img src="/icon.svg" alt="" />
    Filigree
  </Link>
);

/** openPalette is the event that opens the command palette. */
export const openPalette = "filigree-palette";

const PaletteButton = ({ wide }: { wide?: boolean }) => (
  <Button size={wide ? undefined : "small"} onClick={() => dispatchEvent(new Event(openPalette))} style={wide ? { justifyContent: "space-between", color: "var(--ink-faint)" } : undefined}>
    Search {wide && <Kbd>{/Mac/.test(navigator.platform) ? "⌘" : "Ctrl"} K</Kbd>}
  </Button>
);

/** useProduction is the production that the page is about, else the one that was looked at last. */
export function useProduction(): string | undefined {
  const [here, params] = useRoute("/app/p/:production/*?");
  const productions = useProductions();
  const id = here ? params.production : undefined;
  useEffect(() => {
    if (id) localStorage.setItem("filigree-production", id);
  }, [id]);
  if (id) return id;
  const kept = localStorage.getItem("filigree-production");
  return productions.data?.find((p) => p.id === kept)?.id ?? productions.data?.[0]?.id;
}

function Ways() {
  const session = useSession();
  const productions = useProductions();
  const production = useProduction();
  const [where, go] = useLocation();
  const way = (href: string, text: string, exact?: boolean) => (
    <Link key={href} href={href} aria-current={(exact ? where === href : where === href || where.startsWith(href + "/")) ? "page" : undefined}>
      {text}
    </Link>
  );
  const list = productions.data ?? [];
  const sending = production !== undefined && (
    <nav aria-label="Production">
      {list.length > 1 ? (
        <label className="field" style={{ padding: "0 var(--space-2) var(--space-2)" }}>
          <span className="unseen">Production</span>
          <select className="input" value={production} onChange={(e) => go(to.distributions(e.target.value))}>
            {list.map((p) => <option key={p.id} value={p.id}>{p.name || p.id}</option>)}
          </select>
        </label>
      ) : (
        <h2>{list[0]?.name || production}</h2>
      )}
      {maySend(session) && way(to.send(production), "Send")}
      <Link href={to.distributions(production)} aria-current={where === to.distributions(production) || where.includes("/d/") ? "page" : undefined}>Distributions</Link>
      {maySend(session) && way(to.people(production), "People and lists")}
      {way(to.settings(production), "Settings")}
    </nav>
  );
  const operating = mayOperate(session) && (
    <nav aria-label="On call">
      <h2>On call</h2>
      {way(to.now(), "Now")}
      {way(to.alerts(), "Alerts")}
      {way(to.failures(), "Failures")}
      {way(to.workers(), "Workers")}
      {way(to.queues(), "Queues and limits")}
      {way(to.definitions(), "Definitions")}
      {way(to.rules(), "Rules")}
      {way(to.history(), "History")}
      {session.role === "admin" && way(to.audit(), "Audit log")}
    </nav>
  );
  return session.role === "oncall" ? <>{operating}{sending}</> : <>{sending}{operating}</>;
}

const roles = { coordinator: "Coordinator", oncall: "On call", admin: "Administrator" };

function Who() {
  const session = useSession();
  const queries = useQueryClient();
  const [look, setLook] = useState<Theme>(theme());
  const choose = (t: Theme) => (setTheme(t), setLook(t));
  const leave = async () => {
    try {
      await signOut();
      forget(queries);
    } catch (e) {
      toast("bad", (e as Error).message);
    }
  };
  return (
    <div className="foot">
      <div className="row" style={{ flexWrap: "nowrap" }}>
        <span className="grow cut" title={session.subject}>
          {roles[session.role] ?? session.role}
          {!session.subject.startsWith("ses_") && <div className="faint cut">{session.subject}</div>}
        </span>
        <Menu
          label="⋯"
          name="Appearance and sign-out"
          items={[
            { text: `${look === "system" ? "✓ " : ""}As the system`, act: () => choose("system") },
            { text: `${look === "light" ? "✓ " : ""}Light`, act: () => choose("light") },
            { text: `${look === "dark" ? "✓ " : ""}Dark`, act: () => choose("dark") },
            null,
            { text: "Sign out", act: () => void leave() },
          ]}
        />
      </div>
    </div>
  );
}
