import type { Tone } from "../words";
import type { GraphEdge, GraphNode } from "./graph";

const entities: Record<string, string> = { quot: '"', amp: "&", lt: "<", gt: ">", 35: "#", 39: "'" };
const plain = (text: string) => text.replace(/#(\w+);/g, (whole, name: string) => entities[name] ?? whole);

const tones: Record<string, Tone> = { failed: "bad", done: "good", running: "busy", ready: "wait", retrying: "wait", pending: "wait", skipped: "off", cancelled: "off", paused: "wait" };

/**
 * readGraph takes the boxes and arrows out of a definition's or distribution's graph as the API answers it in Mermaid's
 * notation: `s_name["name<br>function<br>more"]` within `subgraph x["for each …"]`, `s_a --> s_b`, `class s_a failed`.
 */
export function readGraph(text: string): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const nodes: GraphNode[] = [];
  const edges: GraphEdge[] = [];
  const byId = new Map<string, GraphNode>();
  let scope = "";
  for (const line of text.split("\n").map((l) => l.trim())) {
    const sub = /^subgraph \w+\["(.*)"\]$/.exec(line);
    if (sub) scope = plain(sub[1] ?? "").replace(/:.*$/, "");
    else if (line === "end") scope = "";
    const box = /^s_([\w-]+)(?:\["(.*)"\]|\{\{"(.*)"\}\}|\[\["(.*)"\]\]|\("(.*)"\))$/.exec(line);
    if (box) {
      const [label = "", ...rest] = plain(box[2] ?? box[3] ?? box[4] ?? box[5] ?? "").split("<br>");
      const node: GraphNode = { id: box[1] ?? "", label, sub: rest.shift(), scope, notes: rest.filter((r) => r !== "optional"), optional: rest.includes("optional") };
      nodes.push(node);
      byId.set(node.id, node);
      continue;
    }
    const arrow = /^s_([\w-]+) (?:-->|==>|-\.->)(?:\|(.*)\|)? s_([\w-]+)$/.exec(line);
    if (arrow) edges.push([arrow[1]!, arrow[3]!, arrow[2] && plain(arrow[2]).replaceAll('"', "")]);
    const named = /^class ([\w,-]+) (\w+)$/.exec(line);
    const tone = tones[named?.[2] ?? ""];
    for (const id of tone && named ? named[1]!.split(",") : []) {
      const node = byId.get(id.slice(2));
      if (node) node.tone = tone;
    }
  }
  return { nodes, edges };
}
