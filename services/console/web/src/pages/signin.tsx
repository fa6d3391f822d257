import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { ApiError } from "../api/client";
import { signIn } from "../api/session";
import { Button, Field, Input, Notice, Trouble } from "../ui";

interface Ways {
  oidc?: { name: string };
}

/** SignIn redeems the code of a sign-in address, which stands in the fragment so that no log has it, or leads to the studio's own sign-in. */
export function SignIn() {
  const queries = useQueryClient();
  const [where, go] = useLocation();
  const [code, setCode] = useState("");
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const begun = useRef(false);
  const ways = useQuery({
    queryKey: ["ways"],
    queryFn: async () => (await (await fetch("/v1/session/ways")).json()) as Ways,
    staleTime: Infinity,
  });
  const redeem = async (code: string) => {
    setBusy(true);
    setError(undefined);
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
        {ways.data?.oidc && (
          <a className="button" data-look="main" href={`/v1/session/oidc?return=${encodeURIComponent(where === "/sign-in" ? "/app" : where)}`}>
            Go on with {ways.data.oidc.name}
          </a>
        )}
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
          <Button type="submit" look={ways.data?.oidc ? undefined : "main"} busy={busy} disabled={!code.trim()}>Sign in</Button>
        </form>
      </div>
    </div>
  );
}
