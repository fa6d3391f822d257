import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { Redirect, Route, Switch } from "wouter";
import { api, data } from "./api/client";
import { comeBack, mayOperate, SessionGate, useSession } from "./api/session";
import { SignIn } from "./pages/signin";
import { to } from "./routes";
import { Shell } from "./shell";
import { applyTheme } from "./theme";
import { Bones, Empty, Go, Loaded, Trouble } from "./ui";
import { Boundary } from "./ui/boundary";

applyTheme();

const Alerts = lazy(() => import("./pages/alerts"));
const Audit = lazy(() => import("./pages/audit"));
const Definitions = lazy(() => import("./pages/definitions"));
const Distribution = lazy(() => import("./pages/distribution"));
const Distributions = lazy(() => import("./pages/distributions"));
const Failures = lazy(() => import("./pages/failures"));
const History = lazy(() => import("./pages/history"));
const List = lazy(() => import("./pages/list"));
const Now = lazy(() => import("./pages/now"));
const People = lazy(() => import("./pages/people"));
const Queues = lazy(() => import("./pages/queues"));
const Rules = lazy(() => import("./pages/rules"));
const Search = lazy(() => import("./pages/search"));
const Send = lazy(() => import("./pages/send"));
const Settings = lazy(() => import("./pages/settings"));
const Story = lazy(() => import("./pages/story"));
const Workers = lazy(() => import("./pages/workers"));

export function App() {
  return (
    <SessionGate
      waiting={<div className="signIn"><Bones lines={3} /></div>}
      broken={(e) => <div className="signIn"><div><Trouble error={e} again={() => location.reload()} /></div></div>}
      out={<SignIn />}
    >
      <Shell>
        <Boundary>
          <Suspense fallback={<Bones lines={6} />}>
            <Switch>
              <Route path="/app/p/:production">{(p) => <Distributions key={p.production} production={p.production} />}</Route>
              <Route path="/app/p/:production/send">{(p) => <Send key={p.production} production={p.production} />}</Route>
              <Route path="/app/p/:production/people">{(p) => <People key={p.production} production={p.production} />}</Route>
              <Route path="/app/p/:production/lists/:list">{(p) => <List key={p.list} production={p.production} list={p.list} />}</Route>
              <Route path="/app/p/:production/settings">{(p) => <Settings key={p.production} production={p.production} />}</Route>
              <Route path="/app/p/:production/d/:distribution/u/:unit">
                {(p) => <Story key={p.distribution + p.unit} production={p.production} distribution={p.distribution} unit={decodeURIComponent(p.unit)} />}
              </Route>
              <Route path="/app/p/:production/d/:distribution/:tab?">
                {(p) => <Distribution key={p.distribution} production={p.production} distribution={p.distribution} tab={p.tab ?? ""} />}
              </Route>
              <Route path="/app/now"><Now /></Route>
              <Route path="/app/search"><Search /></Route>
              <Route path="/app/workers"><Workers /></Route>
              <Route path="/app/queues"><Queues /></Route>
              <Route path="/app/definitions/:name?">{(p) => <Definitions name={p.name ?? ""} />}</Route>
              <Route path="/app/failures"><Failures /></Route>
              <Route path="/app/alerts/:id?">{(p) => <Alerts id={p.id ?? ""} />}</Route>
              <Route path="/app/rules"><Rules /></Route>
              <Route path="/app/history"><History /></Route>
              <Route path="/app/audit"><Audit /></Route>
              <Route path="/"><Home /></Route>
              <Route path="/app"><Home /></Route>
              <Route path="/sign-in"><Home /></Route>
              <Route>
                <Empty title="There is no such page" action={<Go to="/app">To the first page</Go>}>
                  The address may have been cut when it was pasted. Search finds people, files and distributions by their names.
                </Empty>
              </Route>
            </Switch>
          </Suspense>
        </Boundary>
      </Shell>
    </SessionGate>
  );
}

/** useProductions lists the productions that the person may act in. */
export function useProductions() {
  return useQuery({
    queryKey: ["productions"],
    queryFn: async () => (await data(api.GET("/v1/productions", { params: { query: { page_size: 1000 } } }))).productions ?? [],
    staleTime: 60_000,
  });
}

/** Home leads to where somebody begins: on-call sees what is wrong, a coordinator her production. */
function Home() {
  const session = useSession();
  const productions = useProductions();
  const [asked] = useState(comeBack.take);
  if (asked) return <Redirect to={asked} replace />;
  if (mayOperate(session) && session.role === "oncall") return <Redirect to={to.now()} replace />;
  return (
    <Loaded query={productions}>
      {(list) => {
        const kept = localStorage.getItem("filigree-production");
        const first = list.find((p) => p.id === kept) ?? list[0];
        return first?.id ? <Redirect to={to.distributions(first.id)} replace /> : <Empty title="No production yet">You may not act in any production. An administrator creates one and gives you access to it.</Empty>;
      }}
    </Loaded>
  );
}
