import { to } from "../routes";
import { PageHead, Tabs } from "../ui";
import { OfProduction, useParams } from "./oncall/parts";
import { Functions } from "./queues/functions";
import { Limits } from "./queues/limits";
import { Productions } from "./queues/productions";
import { Resources } from "./queues/resources";
import "./oncall/oncall.css";
import "./queues/queues.css";

const tabs: [string, string][] = [["functions", "Functions"], ["limits", "Limits"], ["resources", "Resources"], ["productions", "Productions"]];

/** Queues shows what waits and for what, and sets how much may go on at once. */
export default function Queues() {
  const [param] = useParams();
  const here = param("tab") || "functions";
  const kept = param("production") ? `&production=${param("production")}` : "";
  return (
    <>
      <PageHead title="Queues and limits" actions={(here === "limits" || here === "resources") && <OfProduction />} />
      <Tabs label="What is shown" here={here} tabs={tabs.map(([id, text]) => ({ id, text, to: `${to.queues()}?tab=${id}${kept}` }))} />
      {here === "limits" ? <Limits /> : here === "resources" ? <Resources /> : here === "productions" ? <Productions /> : <Functions />}
    </>
  );
}
