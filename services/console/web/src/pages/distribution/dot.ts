// The steps of a distribution, read out of the DOT text of its graph. Pure.

export interface Step {
  name: string;
  /** The function that performs it. */
  function: string;
  /** file, item, recipient or distribution: what there is one of it for. */
  scope: string;
  optional: boolean;
  needs: string[];
}

const scopes: Record<string, string> = { file: "for each file", item: "for each copy", recipient: "for each person", distribution: "once for all" };
export const scopeSaid = (scope: string) => scopes[scope] ?? scope;

/** readDot reads steps, scopes and needs out of what the API draws. */
export function readDot(text: string): Step[] {
  const steps = new Map<string, Step>();
  let scope = "distribution";
  for (const line of text.split("\n")) {
    const cluster = /subgraph "cluster_(\w+)"/.exec(line);
    if (cluster) scope = cluster[1]!;
    const edge = /^\s*"((?:[^"\\]|\\.)*)" -> "((?:[^"\\]|\\.)*)"/.exec(line);
    if (edge) {
      steps.get(edge[2]!)?.needs.push(edge[1]!);
      continue;
    }
    const node = /^\s*"((?:[^"\\]|\\.)*)" \[label="((?:[^"\\]|\\.)*)"/.exec(line);
    if (!node) continue;
    const lines = node[2]!.split("\\n");
    steps.set(node[1]!, { name: node[1]!, function: lines[1] ?? "", scope, optional: lines.includes("optional"), needs: [] });
  }
  return [...steps.values()];
}
