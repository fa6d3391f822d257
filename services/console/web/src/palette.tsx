import * as RadixDialog from "@radix-ui/react-dialog";
import { useQuery } from "@tanstack/react-query";
import { Command } from "cmdk";
import { useEffect, useState } from "react";
import { useLocation } from "wouter";
import { api, data, type Schemas } from "./api/client";
import { mayOperate, maySend, useSession } from "./api/session";
import { to } from "./routes";
import { openPalette, useProduction } from "./shell";
import { setTheme } from "./theme";
import { State, Time } from "./ui";
import { useSettled } from "./ui/settled";
import { distributionStates, itemStates } from "./words";

/** hitPath is where a search's hit leads: an item, recipient or file to its story, everything else to its distribution. */
export const hitPath = (h: Schemas["Hit"]) => (h.unit ? to.story(h.production!, h.distribution!, h.unit) : to.distribution(h.production!, h.distribution!));

/** Palette is opened by Ctrl K or /: goes anywhere, finds anybody. */
export function Palette() {
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const [, go] = useLocation();
  const session = useSession();
  const production = useProduction();
  const asked = useSettled(text.trim(), 200);
  const found = useQuery({
    queryKey: ["search", asked],
    queryFn: () => data(api.GET("/v1/search", { params: { query: { query: asked, page_size: 12 } } })),
    enabled: open && asked.length >= 2,
    placeholderData: (before) => before,
  });
  useEffect(() => {
    const shown = () => (setText(""), setOpen(true));
    const key = (e: KeyboardEvent) => {
      const typing = e.target instanceof HTMLElement && e.target.closest("input, textarea, select, [contenteditable]");
      if (((e.ctrlKey || e.metaKey) && e.key === "k") || (e.key === "/" && !typing)) {
        e.preventDefault();
        shown();
      }
    };
    addEventListener(openPalette, shown);
    addEventListener("keydown", key);
    return () => (removeEventListener(openPalette, shown), removeEventListener("keydown", key));
  }, []);
  const run = (f: () => void) => () => (setOpen(false), f());
  const way = (text: string, path: string) => <Command.Item key={path} value={`go ${text}`} onSelect={run(() => go(path))}>{text}</Command.Item>;
  const matches = (value: string) => !text || value.toLowerCase().includes(text.trim().toLowerCase());
  const ways: [string, string, boolean][] = [
    ["Send", to.send(production ?? ""), !!production && maySend(session)],
    ["Distributions", to.distributions(production ?? ""), !!production],
    ["People and lists", to.people(production ?? ""), !!production && maySend(session)],
    ["Now: is anything wrong", to.now(), mayOperate(session)],
    ["Alerts", to.alerts(), mayOperate(session)],
    ["Failures", to.failures(), mayOperate(session)],
    ["Workers", to.workers(), mayOperate(session)],
    ["Queues and limits", to.queues(), mayOperate(session)],
    ["Definitions", to.definitions(), mayOperate(session)],
    ["Rules", to.rules(), mayOperate(session)],
    ["History", to.history(), mayOperate(session)],
    ["Audit log", to.audit(), session.role === "admin"],
  ];
  const hits = asked.length >= 2 ? (found.data?.hits ?? []) : [];
  return (
    <RadixDialog.Root open={open} onOpenChange={setOpen}>
      <RadixDialog.Portal>
        <RadixDialog.Overlay className="overlay" style={{ zIndex: 50 }} />
        <RadixDialog.Content className="palette" aria-describedby={undefined}>
          <RadixDialog.Title className="unseen">Search and commands</RadixDialog.Title>
          <Command shouldFilter={false} label="Search and commands" loop>
            <Command.Input value={text} onValueChange={setText} placeholder="A name, an address, a file, an id, or where to go" />
            <Command.List>
              <Command.Empty>{found.isFetching || asked !== text.trim() ? "Looking…" : found.error ? found.error.message : "Nothing is called that."}</Command.Empty>
              {hits.length > 0 && (
                <Command.Group heading="Found">
                  {hits.map((h) => (
                    <Command.Item key={`${h.kind} ${h.distribution} ${h.unit}`} value={`hit ${h.kind} ${h.distribution} ${h.unit}`} onSelect={run(() => go(hitPath(h)))}>
                      <span className="grow cut">
                        {h.name || h.distribution} <span className="faint">{h.detail}</span>
                      </span>
                      <State of={h.kind === "distribution" ? distributionStates : itemStates} is={h.state} />
                      <span className="faint"><Time at={h.time} /></span>
                    </Command.Item>
                  ))}
                  <Command.Item value="hit all" onSelect={run(() => go(to.search(asked)))}>All that was found for “{asked}”</Command.Item>
                </Command.Group>
              )}
              <Command.Group heading="Go to">{ways.filter(([text, , may]) => may && matches(text)).map(([text, path]) => way(text, path))}</Command.Group>
              <Command.Group heading="Appearance">
                {(["light", "dark", "system"] as const).filter((t) => matches(`Appearance ${t}`)).map((t) => (
                  <Command.Item key={t} value={`look ${t}`} onSelect={run(() => setTheme(t))}>
                    {{ light: "Light", dark: "Dark", system: "As the system" }[t]}
                  </Command.Item>
                ))}
              </Command.Group>
            </Command.List>
          </Command>
        </RadixDialog.Content>
      </RadixDialog.Portal>
    </RadixDialog.Root>
  );
}
