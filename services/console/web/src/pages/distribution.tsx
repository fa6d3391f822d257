import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from "react";
import { Link } from "wouter";
import { api, data, type Schemas } from "../api/client";
import { useLive } from "../api/live";
import { useProductions } from "../app";
import { to } from "../routes";
import { Bones, Empty, Go, PageHead, State, Tabs, Trouble } from "../ui";
import { distributionStates } from "../words";
import { Actions } from "./distribution/actions";
import People from "./distribution/people";
import { Standing } from "./distribution/standing";
import { apiSource, Sheet } from "./distribution/sheet";
import { distributionKey, titleOf } from "./distribution/said";
import "./distribution/distribution.css";

const Why = lazy(() => import("./distribution/why"));
const Steps = lazy(() => import("./distribution/steps"));
const Events = lazy(() => import("./distribution/events"));

/** DistributionPage is one distribution as it stands: what became of it, of everybody in it, why, and where the time goes. */
export default function DistributionPage({ production, distribution, tab }: { production: string; distribution: string; tab: string }) {
  const queries = useQueryClient();
  const key = distributionKey(production, distribution);
  const path = { production, distribution };
  // An ended one's stream is at its end, too. When it runs again, or the stream broke for good, it is opened again.
  const [again, setAgain] = useState(0);
  const link = useLive<Schemas["Distribution"]>(
    `/v1/productions/${production}/distributions/${distribution}/watch${again ? `#${again}` : ""}`,
    "distribution",
    (d) => queries.setQueryData(key, d),
  );
  const found = useQuery({
    queryKey: key,
    queryFn: () => data(api.GET("/v1/productions/{production}/distributions/{distribution}", { params: { path } })),
    refetchInterval: (q) => (link === "live" ? false : q.state.data?.ended_at ? 15_000 : 5_000),
  });
  const d = found.data;
  const open = d && !d.ended_at;
  useEffect(() => {
    if (!open || link !== "ended") return;
    const anew = () => setAgain((n) => n + 1);
    anew();
    const timer = setInterval(anew, 5000);
    return () => clearInterval(timer);
  }, [open, link]);
  if (!d)
    return found.error ? (
      <>
        <PageHead title="Distribution" above={<Link href={to.distributions(production)}>Distributions</Link>} />
        <Trouble error={found.error} again={() => void found.refetch()} />
      </>
    ) : (
      <Bones lines={8} />
    );
  return <Page key={`${d.files?.length} ${d.recipients?.total}`} d={d} tab={tab} link={link} error={found.error} ran={() => void found.refetch()} />;
}

const tabs = { "": "People", why: "Why", steps: "Steps", events: "Events" };

function Page({ d, tab, link, error, ran }: { d: Schemas["Distribution"]; tab: string; link: ReturnType<typeof useLive>; error: Error | null; ran: () => void }) {
  const production = d.production!;
  const productions = useProductions();
  const sheet = useMemo(() => new Sheet(apiSource(production, d.id!), d.files?.length ?? 0, d.recipients?.total ?? 0), []);
  useSheetLive(sheet, d);
  const name = productions.data?.find((p) => p.id === production)?.name || production;
  return (
    <div className="distribution">
      <PageHead
        title={titleOf(d)}
        above={
          <>
            <Link href={to.distributions(production)}>{name}</Link>
            {d.parent && <><span aria-hidden>›</span><Link href={to.distribution(production, d.parent)}>Started by another distribution</Link></>}
          </>
        }
        beside={<State of={distributionStates} is={d.state} />}
        actions={<Actions d={d} ran={ran} />}
      />
      <Standing d={d} link={link} error={error} ran={ran} />
      <Tabs label="What to look at" here={tab} tabs={Object.entries(tabs).map(([id, text]) => ({ id, text, to: to.distribution(production, d.id!, id) }))} />
      <Suspense fallback={<Bones lines={6} />}>
        {tab === "" && <People d={d} sheet={sheet} ran={ran} />}
        {tab === "why" && <Why d={d} ran={ran} />}
        {tab === "steps" && <Steps d={d} />}
        {tab === "events" && <Events d={d} sheet={sheet} />}
        {!(tab in tabs) && <Empty title="There is no such tab" action={<Go to={to.distribution(production, d.id!)}>To its people</Go>} />}
      </Suspense>
    </div>
  );
}

/** useSheetLive keeps a sheet up to date with what the distribution's stream says. */
function useSheetLive(sheet: Sheet, d: Schemas["Distribution"]) {
  const counts = JSON.stringify([d.items, d.recipients, d.state]);
  const ended = !!d.ended_at;
  const before = useRef({ counts, ended });
  useEffect(() => {
    if (sheet.known > 0 && before.current.counts !== counts) {
      if (ended && !before.current.ended) void sheet.reload();
      else sheet.changed();
    }
    before.current = { counts, ended };
  }, [sheet, counts, ended]);
  useEffect(() => {
    sheet.open();
    const back = () => !document.hidden && sheet.known > 0 && sheet.changed();
    document.addEventListener("visibilitychange", back);
    // Who opens a link changes nothing of the distribution: it is looked at now and then.
    const timer = setInterval(back, 15_000);
    return () => (document.removeEventListener("visibilitychange", back), clearInterval(timer), sheet.close());
  }, [sheet]);
}
