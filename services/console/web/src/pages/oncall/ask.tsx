import { useQueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { Ask, toast } from "../../ui";

export interface Question {
  title: string;
  /** What will happen, with counts. */
  says: ReactNode;
  yes: string;
  look?: "main" | "bad";
  act: () => Promise<unknown>;
  /** What is said when it is done. */
  done?: string;
  /** Queries that it makes stale, by the first word of their keys. */
  stale: string[];
}

/** useAsk asks before something is done, does it, and has lists look again. */
export function useAsk(): [(q: Question) => void, ReactNode] {
  const [question, ask] = useState<Question>();
  const queries = useQueryClient();
  const node = question && (
    <Ask
      title={question.title}
      open
      onClose={() => ask(undefined)}
      yes={question.yes}
      look={question.look}
      act={async () => {
        await question.act();
        if (question.done) toast("good", question.done);
        await Promise.all(question.stale.map((key) => queries.invalidateQueries({ queryKey: [key] })));
      }}
    >
      {question.says}
    </Ask>
  );
  return [ask, node];
}
