import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { api, ApiError, data, type Schemas } from "../../api/client";
import { to } from "../../routes";
import { Button, Card, Go, PageHead, toast, Trouble } from "../../ui";
import { Editor, problemsOf } from "../../ui/code";
import { count } from "../../words";
import { write } from "./write";

const first = `- name: mail-refused
  title: Mail is refused
  on: failures
  when: code.startsWith("EMAIL_") && open > 0 && recipients >= 5
  for: 1m
  severity: page
  sentence: "{recipients} people do not get their mail: {signature} {summary}"
  actions:
  - mail: [oncall@example.com]
`;

/** ApplyRules puts all rules of a text, or none: what is wrong is marked at its line. */
export function ApplyRules({ own }: { own: Schemas["Rule"][] }) {
  const [text, setText] = useState(() => write(own) || first);
  const [, go] = useLocation();
  const queries = useQueryClient();
  const apply = useMutation({
    mutationFn: async () => (await data(api.POST("/v1/rules:apply", { body: { source: text } }))).rules ?? [],
    onSuccess: async (rules) => {
      toast("good", `${count(rules.length, "rule holds", "rules hold")} from now on.`);
      await queries.invalidateQueries({ queryKey: ["rules"] });
      go(to.rules());
    },
  });
  const refused = apply.error instanceof ApiError && apply.error.code === "RULE_INVALID" ? problemsOf(apply.error.message) : undefined;
  const named = (text.match(/^- *name:/gm) ?? []).length;
  return (
    <>
      <PageHead
        title="Rules as YAML"
        above={<Link href={to.rules()}>Rules</Link>}
        below={own.length ? "The rules that people have put. All that stand here are set, or none; rules that do not stand here stay as they are." : "No rule has been put yet; this is an example. All that stand here are set, or none."}
        actions={<Go to={to.rules()}>Leave it</Go>}
      />
      <Card title="Source">
        <div className="stack">
          <Editor label="Rules in YAML" value={text} onChange={(t) => (setText(t), apply.reset())} problems={refused} rows={24} />
          {apply.error && !refused && <Trouble error={apply.error} />}
          <div className="row"><Button look="main" busy={apply.isPending} disabled={!text.trim()} onClick={() => apply.mutate()}>Check and apply{named ? ` ${count(named, "rule")}` : ""}</Button></div>
        </div>
      </Card>
    </>
  );
}
