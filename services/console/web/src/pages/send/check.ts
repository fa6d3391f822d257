import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { api, data, type ApiError, type Schemas } from "../../api/client";
import { useSettled } from "../../ui/settled";
import { count, sentence } from "../../words";
import { request, type Draft } from "./draft";
import type { Finding } from "./findings";

/** Hints are what the server says about addresses, by address: those that it would not take, and those that look mistyped. */
export type Hints = Map<string, { kind: "bad" | "odd"; says: string; fix?: string }>;

export interface Checked {
  findings: Finding[];
  /** How the check stands, in a few words; empty while nothing is asked. */
  says: string;
}

/** What the page knows and says itself, where it can be changed. */
const own = new Set(["ADDRESS_TYPO", "RECIPIENT_INVALID", "RECIPIENT_MERGED", "FILE_NOTE", "FILE_NOT_INSPECTED"]);

/** useCheck asks the server what would become of the draft, when nothing is missing that can be told here, and it has come to rest. */
export function useCheck(production: string, draft: Draft, ready: boolean, hinted: (h: Hints) => void): Checked {
  const body = useMemo(() => (ready ? JSON.stringify(request(draft)) : ""), [draft, ready]);
  const asked = useSettled(body, 700);
  const check = useQuery({
    queryKey: ["check", production, asked],
    queryFn: ({ signal }) => data(api.POST("/v1/productions/{production}/distributions:check", { params: { path: { production } }, body: JSON.parse(asked) as Schemas["CreateDistributionRequest"], signal })),
    enabled: asked !== "" && asked === body,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    gcTime: 60_000,
  });
  const answer = check.isPlaceholderData ? undefined : check.data;
  useEffect(() => {
    const hints: Hints = new Map();
    for (const f of answer?.findings ?? [])
      if (f.email && (f.code === "ADDRESS_TYPO" || f.code === "RECIPIENT_INVALID"))
        hints.set(f.email, { kind: f.code === "RECIPIENT_INVALID" ? "bad" : "odd", says: f.code === "ADDRESS_TYPO" ? "The address looks mistyped." : sentence(f.message), fix: /did you mean (\S+?)\?/.exec(f.message ?? "")?.[1] });
    if (hints.size > 0) hinted(hints);
  }, [answer, hinted]);
  if (!ready) return { findings: [], says: "" };
  if (check.error && !answer) return { findings: [], says: `It could not be checked (${(check.error as ApiError).message}) What cannot be sent is refused all the same.` };
  if (!answer || asked !== body) return { findings: [], says: "Being checked…" };
  const findings = (answer.findings ?? [])
    .filter((f) => !own.has(f.code ?? ""))
    .map((f): Finding => ({
      code: f.code ?? "",
      severity: f.severity === "refuses" || f.severity === "warns" ? f.severity : "tells",
      sentence: sentence(f.message),
      act: f.code === "SENT_BY_LINK" ? { text: "Choose links", change: { mode: "link" } } : undefined,
      whom: f.name || f.email || draft.files.find((x) => x.sha256 === f.file)?.name,
    }));
  if (answer.left_out) findings.push({ code: "MORE", severity: "tells", sentence: `There is more to say about ${count(answer.left_out, "thing")}.` });
  const people = answer.recipients ?? 0;
  if (people !== draft.rows.length && draft.lists.some((l) => l.whole))
    findings.push({ code: "LIST_CHANGED", severity: "warns", sentence: `A list has changed since it was picked: with it, it would be ${count(people, "person", "people")}. It goes to those shown here.` });
  return { findings, says: answer.refused ? "The server would refuse it as it is." : "Checked by the server. You can undo it for ten seconds." };
}

/** useHints keeps what the server said about addresses, as long as the page is open: an address that is mended has none. */
export function useHints(): [Hints, (h: Hints) => void] {
  const [hints, set] = useState<Hints>(new Map());
  const add = useMemo(() => (h: Hints) => set((before) => ([...h].every(([k, v]) => before.get(k)?.says === v.says && before.get(k)?.fix === v.fix) ? before : new Map([...before, ...h]))), []);
  return [hints, add];
}
