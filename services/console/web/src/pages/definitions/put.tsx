import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { api, ApiError, data, type Schemas } from "../../api/client";
import { to } from "../../routes";
import { Button, Card, Go, Notice, PageHead, toast, Trouble } from "../../ui";
import { Editor, problemsOf } from "../../ui/code";

const first = `name: my-definition
version: 1
steps:
  - name: prepare
    scope: file
    function: watermark.Prepare
    with:
      production: production.id
`;

/** next is a version's source with the number of the one after. */
const next = (d: Schemas["Definition"]) => (d.source ?? "").replace(/^version: *\d+/m, `version: ${(d.version ?? 0) + 1}`);

/** PutDefinition stores a version; what is wrong with it is marked at its line. */
export function PutDefinition({ from }: { from?: Schemas["Definition"] }) {
  const [text, setText] = useState(() => (from ? next(from) : first));
  const [, go] = useLocation();
  const queries = useQueryClient();
  const put = useMutation({
    mutationFn: () => data(api.POST("/v1/definitions", { body: { source: text } })),
    onSuccess: async (d) => {
      toast("good", `Version ${d.version} of ${d.name} is stored.`);
      await queries.invalidateQueries({ queryKey: ["definitions"] });
      go(to.definitions(d.name));
    },
  });
  const refused = put.error instanceof ApiError && put.error.code === "DEFINITION_INVALID" ? problemsOf(put.error.message) : undefined;
  const back = to.definitions(from?.name);
  return (
    <>
      <PageHead
        title={from ? `New version of ${from.name}` : "New definition"}
        above={<><Link href={to.definitions()}>Definitions</Link>{from && <Link href={back}>{from.name}</Link>}</>}
        below={from && `Begun from version ${from.version}.`}
        actions={<Go to={back}>Leave it</Go>}
      />
      <Notice tone="busy">
        New distributions take the newest version, unless a rollout of their production says otherwise. Those that have started keep theirs. A stored version cannot be changed or taken back.
      </Notice>
      <Card title="Source">
        <div className="stack">
          <Editor label="Source in YAML" value={text} onChange={(t) => (setText(t), put.reset())} problems={refused} rows={30} />
          {put.error && !refused && <Trouble error={put.error} />}
          <div className="row"><Button look="main" busy={put.isPending} disabled={!text.trim()} onClick={() => put.mutate()}>Check and store it</Button></div>
        </div>
      </Card>
    </>
  );
}
