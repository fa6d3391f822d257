import { useQuery } from "@tanstack/react-query";
import { api, data } from "../api/client";
import { mayOperate, useSession } from "../api/session";
import { to } from "../routes";
import { Loaded, PageHead, Tabs } from "../ui";
import { useParams } from "./oncall/parts";
import { Limits } from "./queues/limits";
import { ResourceList } from "./queues/resources";
import { Credentials } from "./settings/credentials";
import { General } from "./settings/general";
import { Hooks } from "./settings/hooks";
import { Schedules } from "./settings/schedules";
import "./oncall/oncall.css";
import "./queues/queues.css";

const tabs: [id: string, text: string, operators?: boolean][] = [["", "Production"], ["schedules", "Schedules"], ["hooks", "Hooks"], ["resources", "Resources", true], ["credentials", "Credentials", true]];

/** Settings of one production. */
export default function Settings({ production }: { production: string }) {
  const session = useSession();
  const [param] = useParams();
  const here = param("tab");
  const p = useQuery({ queryKey: ["production", production], queryFn: () => data(api.GET("/v1/productions/{production}", { params: { path: { production } } })) });
  return (
    <>
      <PageHead title="Settings" below={p.data?.name || production} />
      <Tabs label="What is set" here={here} tabs={tabs.filter(([, , operators]) => !operators || mayOperate(session)).map(([id, text]) => ({ id, text, to: to.settings(production) + (id && `?tab=${id}`) }))} />
      {here === "schedules" ? <Schedules production={production} />
        : here === "hooks" ? <Hooks production={production} />
        : here === "resources" ? <><ResourceList scope={production} title="Resources: what its steps share" /><Limits only={production} /></>
        : here === "credentials" ? <Credentials production={production} />
        : <Loaded query={p}>{(d) => <General p={d} />}</Loaded>}
    </>
  );
}
