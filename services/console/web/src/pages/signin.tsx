import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { ApiError, reading } from "../api/client";
import { comeBack, signIn } from "../api/session";
import { Button, Field, Input, Notice, Trouble } from "../ui";

/** A way to sign in, as the server tells them; one that has no address is by a code. */
interface Way {
  way: string;
  name: string;
  url: string;
}

/** What the server says in the address when the studio's own sign-in came to nothing. */
const problems: Record<string, string> = {
  OIDC_STATE: "That sign-in was not begun in this browser, or too long ago. Begin again.",
  OIDC_REFUSED: "Your identity provider did not sign you in. Begin again, or ask those who run it.",
  OIDC_TOKEN_REFUSED: "What your identity provider said of you is not believed. Begin again, and tell an administrator if it stays so.",
  OIDC_NO_GRANT: "You are known, but no group of yours may do anything here. Ask an administrator.",
  OIDC_UNREACHABLE: "Your identity provider does not answer as it should. Try again later.",
  SIGN_IN_MISSES: "Too many sign-ins from your network failed within a minute. Try again later.",
};

const problemIn = (search: string) => {
  const code = new URLSearchParams(search).get("problem");
  return code && (problems[code] ?? "You were not signed in. Begin again, and tell an administrator if it stays so.");
};

/** SignIn redeems the code of a sign-in address, which stands in the fragment so that no log has it, or leads to the studio's own sign-in. */
export function SignIn() {
  const queries = useQueryClient();
  const [where, go] = useLocation();
  const [code, setCode] = useState("");
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(() => problemIn(location.search));
  const begun = useRef(false);
  const ways = useQuery({
    queryKey: ["ways"],
    queryFn: async () => ((await (await fetch("/v1/session/ways", { signal: reading() })).json()) as { ways: Way[] }).ways.filter((w) => w.url),
    staleTime: Infinity,
  });
  const redeem = async (code: string) => {
    setBusy(true);
    setError(undefined);
    setProblem(null);
    try {
      queries.setQueryData(["session"], await signIn(code));
      if (where === "/sign-in") go("/app", { replace: true });
    } catch (e) {
      setError(e as Error);
    } finally {
      setBusy(false);
    }
  };
  useEffect(() => {
    document.title = "Sign in · Filigree";
    const code = location.hash.slice(1);
    if (where !== "/sign-in" || !code || begun.current) return;
    begun.current = true; // it works once: effects that run twice would use it up
    history.replaceState(null, "", "/sign-in");
    void redeem(code);
  }, [where]);
  const used = error instanceof ApiError && error.status === 401;
  return (
    <div className="signIn">
      <div>
        <div className="stack" style={{ gap: "var(--space-3)" }}>
          <img src="/icon.svg" alt="" width={40} height={40} />
          <h1>Sign in to Filigree</h1>
          {where !== "/sign-in" && !error && <p className="soft">You come to the page that you asked for afterwards.</p>}
        </div>
        {error && (used ? <Notice tone="bad" alert>{error.message}</Notice> : <Trouble error={error} />)}
        {problem && <Notice tone="bad" alert>{problem}</Notice>}
        {ways.data?.map((w) => (
          <a key={w.way} className="button" data-look="main" href={w.url} onClick={() => where !== "/sign-in" && comeBack.keep(where + location.search)}>
            Go on with {w.name}
          </a>
        ))}
        <form
          className="stack"
          onSubmit={(e) => {
            e.preventDefault();
            void redeem(code.trim().replace(/^.*#/, ""));
          }}
        >
          <Field label="Sign-in address or code" hint="An address works once, for 15 minutes. Whoever runs the server makes one: filigree sign-in">
            {(a) => <Input {...a} value={code} autoComplete="off" spellCheck={false} onChange={(e) => setCode(e.target.value)} />}
          </Field>
          <Button type="submit" look={ways.data?.length ? undefined : "main"} busy={busy} disabled={!code.trim()}>Sign in</Button>
        </form>
      </div>
    </div>
  );
}
