import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, data, type Schemas } from "../api/client";
import { Card, Empty, Loaded, PageHead } from "../ui";
import { bytes, count, number, seconds, span } from "../words";
import { Chart, times, type Series } from "./history/chart";
import { OfProduction, useParams } from "./oncall/parts";
import "./oncall/oncall.css";
import "./history/history.css";

interface Week {
  from: string;
  distributions: number;
  failed: number;
  items: number;
  itemsFailed: number;
  recipients: number;
  late: number;
  p50: number;
  p90: number;
  out: number;
  in: number;
}

/**
 * weeks adds up what ended in each week, over productions and definitions, and has those without anything in between. P50 and
 * P90 of several cannot be added up: the mean by how many there were stands for the first, the worst for the second.
 */
function weeks(list: Schemas["HistoryWeek"][], n: number): Week[] {
  const of = new Map<string, Week>();
  const week = 7 * 86400_000;
  const times = list.map((w) => Date.parse(w.from!));
  if (times.length === 0) return [];
  // Monday 00:00 UTC: 1970-01-05 was one.
  const monday = Math.floor((Date.now() - 4 * 86400_000) / week) * week + 4 * 86400_000;
  const last = Math.max(monday, ...times);
  // Of a few weeks all are shown, of years those since there is something to show.
  const first = last - (n - 1) * week;
  for (let t = n > 12 ? Math.max(Math.min(...times, last - 11 * week), first) : first; t <= last; t += week)
    of.set(new Date(t).toISOString(), { from: new Date(t).toISOString(), distributions: 0, failed: 0, items: 0, itemsFailed: 0, recipients: 0, late: 0, p50: 0, p90: 0, out: 0, in: 0 });
  for (const w of list) {
    const sum = of.get(new Date(w.from!).toISOString());
    if (!sum) continue;
    const d = w.distributions ?? 0;
    sum.p50 = sum.distributions + d ? (sum.p50 * sum.distributions + seconds(w.duration_p50) * d) / (sum.distributions + d) : 0;
    sum.p90 = Math.max(sum.p90, seconds(w.duration_p90));
    sum.distributions += d;
    sum.failed += w.distributions_failed ?? 0;
    sum.items += Number(w.items ?? 0);
    sum.itemsFailed += Number(w.items_failed ?? 0);
    sum.recipients += Number(w.recipients ?? 0);
    sum.late += w.late ?? 0;
    sum.in += Number(w.bytes_in ?? 0);
    sum.out += Number(w.bytes_out ?? 0);
  }
  return [...of.values()];
}

const share = (a: number, b: number) => (b ? `${(100 * a) / b < 10 && a ? ((100 * a) / b).toFixed(1) : Math.round((100 * a) / b)} %` : "–");

/** History sums up by week what has ended: how much, how well, how fast. */
export default function History() {
  const [param, set] = useParams();
  const n = Number(param("weeks")) || 12;
  const [production, definition] = [param("production"), param("definition")];
  const history = useQuery({
    queryKey: ["history", production, definition, n],
    queryFn: async () => (await data(api.GET("/v1/history", { params: { query: { production, definition, weeks: n } } }))).weeks ?? [],
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
  });
  const definitions = useQuery({ queryKey: ["definitions"], queryFn: async () => (await data(api.GET("/v1/definitions"))).definitions ?? [] });
  const names = [...new Set(definitions.data?.map((d) => d.name!))];
  return (
    <>
      <PageHead
        title="History"
        below="What ended, by week from Monday, 00:00 UTC."
        actions={
          <>
            <OfProduction />
            {(names.length > 1 || definition) && (
              <label>
                <span className="unseen">Definition</span>
                <select className="input" value={definition} onChange={(e) => set({ definition: e.target.value })}>
                  <option value="">All definitions</option>
                  {names.map((d) => <option key={d}>{d}</option>)}
                </select>
              </label>
            )}
            <label>
              <span className="unseen">How many weeks</span>
              <select className="input" value={n} onChange={(e) => set({ weeks: e.target.value === "12" ? "" : e.target.value })}>
                {[4, 12, 26, 52, 156].map((w) => <option key={w} value={w}>{w < 100 ? `${w} weeks` : "3 years"}</option>)}
              </select>
            </label>
          </>
        }
      />
      <Loaded query={history} lines={10}>
        {(list) => {
          const all = weeks(list, n);
          if (all.length === 0) return <Card><Empty title="Nothing has ended in these weeks">A distribution counts in the week in which it ended.</Empty></Card>;
          return <Told all={all} several={new Set(list.map((w) => `${w.production} ${w.definition}`)).size > 1} />;
        }}
      </Loaded>
    </>
  );
}

function Told({ all, several }: { all: Week[]; several: boolean }) {
  const sum = all.reduce((s, w) => ({ d: s.d + w.distributions, items: s.items + w.items, failed: s.failed + w.itemsFailed, late: s.late + w.late }), { d: 0, items: 0, failed: 0, late: 0 });
  const series: [string, Series[], (v: number) => string][] = [
    ["Distributions", [{ name: "ended", values: all.map((w) => w.distributions), tone: "busy" }, { name: "not sent to all", values: all.map((w) => w.failed), tone: "bad" }], number],
    ["Copies that failed, of a hundred", [{ name: "failed", values: all.map((w) => (w.items ? (100 * w.itemsFailed) / w.items : null)), tone: "bad" }], (v) => `${v < 10 && v > 0 ? v.toFixed(1) : Math.round(v)} %`],
    ["How long they took", [{ name: "half within", values: all.map((w) => (w.distributions ? w.p50 : null)), tone: "busy", line: true }, { name: "nine of ten within", values: all.map((w) => (w.distributions ? w.p90 : null)), tone: "wait", line: true }], span],
    ["Sent out", [{ name: "bytes", values: all.map((w) => w.out), tone: "good" }], (v) => bytes(v)],
  ];
  return (
    <>
      <section className="answer" data-tone={sum.failed / Math.max(1, sum.items) > 0.05 ? "wait" : "good"} aria-label="In short" style={{ minHeight: "5rem" }}>
        <p className="sentence">{count(sum.d, "distribution")} with {count(sum.items, "copy", "copies")} ended, {share(sum.items - sum.failed, sum.items)} of them done.</p>
        <div className="asides number"><span>{count(sum.failed, "copy", "copies")} failed</span><span>{count(sum.late, "distribution was", "distributions were")} late</span><span>{count(all.length, "week")}</span></div>
      </section>
      <div className="charts">
        {series.map(([title, of, say]) => <Card key={title} title={title}><Chart label={title} weeks={all.map((w) => w.from)} series={of} say={say} tops={say === span ? times : undefined} /></Card>)}
      </div>
      <Card title="By week" bare>
        <div className="scroll" tabIndex={0}>
          <table className="table">
            <thead>
              <tr><th>Week from</th><th className="right">Distributions</th><th className="right">Not to all</th><th className="right">Late</th><th className="right">Copies</th><th className="right">Failed</th><th className="right">People</th><th className="right">P50</th><th className="right">P90</th><th className="right">In</th><th className="right">Out</th></tr>
            </thead>
            <tbody>
              {[...all].reverse().map((w) => (
                <tr key={w.from}>
                  <td style={{ whiteSpace: "nowrap" }}><time dateTime={w.from}>{day.format(new Date(w.from))}</time></td>
                  <td className="right number">{number(w.distributions)}</td>
                  <td className="right number">{number(w.failed)}</td>
                  <td className="right number">{number(w.late)}</td>
                  <td className="right number">{number(w.items)}</td>
                  <td className="right number">{w.itemsFailed ? `${number(w.itemsFailed)} (${share(w.itemsFailed, w.items)})` : 0}</td>
                  <td className="right number">{number(w.recipients)}</td>
                  <td className="right number">{w.distributions ? span(w.p50) : "–"}</td>
                  <td className="right number">{w.distributions ? span(w.p90) : "–"}</td>
                  <td className="right number">{bytes(w.in)}</td>
                  <td className="right number">{bytes(w.out)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Card>
      {several && <p className="faint">Of several productions or definitions together, P50 is the mean by their number, and P90 the worst of them.</p>}
    </>
  );
}

const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
