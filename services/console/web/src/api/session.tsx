import { useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, type ReactNode } from "react";
import { ApiError, failure, headers, offline, onSignedOut, reading, setCsrf } from "./client";

/** Who looks at the console, as the server knows them. */
export interface Session {
  id: string;
  subject: string;
  role: "coordinator" | "oncall" | "admin";
  /** Ids of the productions that they may act in; "*" is all. */
  productions: string[];
  csrf_token: string;
  expires_at: string;
}

const Context = createContext<Session | undefined>(undefined);

/** useSession is who looks; only pages inside SessionGate have it. */
export function useSession(): Session {
  const session = useContext(Context);
  if (!session) throw new Error("no session");
  return session;
}

/** may tells whether the person may look after the machinery, beside sending. */
export const mayOperate = (s: Session) => s.role !== "coordinator";
/** maySend tells whether the person sends distributions. */
export const maySend = (s: Session) => s.role !== "oncall";

async function ask(init: RequestInit): Promise<Response> {
  try {
    return await fetch("/v1/session", init);
  } catch {
    throw offline();
  }
}

export async function getSession(): Promise<Session | null> {
  const answer = await ask({ signal: reading() });
  if (answer.status === 401) return null;
  if (!answer.ok) throw await failure(answer);
  const session = (await answer.json()) as Session;
  setCsrf(session.csrf_token);
  own(session.subject);
  return session;
}

/** signIn redeems a single-use code. */
export async function signIn(code: string): Promise<Session> {
  const answer = await ask({
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code }),
  });
  if (!answer.ok) throw await failure(answer);
  const session = (await answer.json()) as Session;
  setCsrf(session.csrf_token);
  own(session.subject);
  return session;
}

export async function signOut(): Promise<void> {
  const answer = await ask({ method: "DELETE", headers: headers("DELETE") });
  if (!answer.ok && answer.status !== 401) throw await failure(answer);
}

/** forget drops all that was seen: it is not for who comes next. */
export function forget(queries: QueryClient) {
  queries.setQueryData(["session"], null);
  queries.removeQueries({ predicate: (q) => q.queryKey[0] !== "session" });
}

/** own leaves the drafts of this tab to whoever wrote them, whose session may have lapsed meanwhile; nobody else finds them. */
function own(subject: string) {
  try {
    if (sessionStorage.getItem("filigree-subject") === subject) return;
    for (const key of Object.keys(sessionStorage)) if (key.startsWith("filigree-draft-")) sessionStorage.removeItem(key);
    sessionStorage.setItem("filigree-subject", subject);
  } catch {
    // The storage is forbidden: there are no drafts in it.
  }
}

/** comeBack keeps, while somebody is at the studio's own sign-in, the page that was asked for; the server leads back to the first one. */
export const comeBack = {
  keep(path: string) {
    try {
      sessionStorage.setItem("filigree-return", path);
    } catch {
      // The storage is forbidden: the first page it is.
    }
  },
  take(): string | null {
    try {
      const path = sessionStorage.getItem("filigree-return");
      sessionStorage.removeItem("filigree-return");
      return path;
    } catch {
      return null;
    }
  },
};

/** SessionGate shows its children to somebody who is signed in, and `out` to everybody else. */
export function SessionGate(p: { children: ReactNode; out: ReactNode; waiting: ReactNode; broken: (e: ApiError) => ReactNode }) {
  const queries = useQueryClient();
  const session = useQuery({
    queryKey: ["session"],
    queryFn: async () => {
      const before = queries.getQueryData<Session | null>(["session"]);
      const now = await getSession();
      // Another tab may have signed out, or signed somebody else in.
      if (before && before.id !== now?.id) forget(queries);
      return now;
    },
    staleTime: 5 * 60_000,
    retry: 1,
  });
  useEffect(() => onSignedOut(() => forget(queries)), [queries]);
  // A session's pages are its own: of another's, nothing that they hold stays.
  if (session.data) return <Context.Provider key={session.data.id} value={session.data}>{p.children}</Context.Provider>;
  if (session.data === null) return p.out;
  if (session.error) return p.broken(session.error as ApiError);
  return p.waiting;
}
