import { useLayoutEffect, useMemo, useRef } from "react";
import "./code.css";

/** What is wrong in a text, and on which line; without a line it is about the whole. */
export interface Problem {
  line?: number;
  says: string;
}

/** problemsOf reads the server's sentences, each of which says its line first: "line 4, step "a": there is no …". */
export function problemsOf(message: string): Problem[] {
  return message
    .split("\n")
    .filter((l) => l.trim())
    .map((l) => {
      const at = /\bline (\d+)\b/.exec(l);
      return { line: at ? Number(at[1]) : undefined, says: l.replace(/^line \d+(?:, |: )/, "") };
    });
}

const linesOf = (text: string) => text.replace(/\n$/, "").split("\n");

/** Source shows a text with its line numbers; comments are paler. `from` is the number of its first line. */
export function Source({ text, label, from = 1 }: { text: string; label: string; from?: number }) {
  return (
    <div className="source" role="region" aria-label={label} tabIndex={0}>
      <ol style={{ counterReset: `line ${from - 1}` }}>
        {linesOf(text).map((line, i) => (
          <li key={i} data-comment={/^\s*#/.test(line) || undefined}>{line || " "}</li>
        ))}
      </ol>
    </div>
  );
}

/** Editor is a field for a text of many lines with their numbers; what is wrong is marked at its line and told below. */
export function Editor(p: { label: string; value: string; onChange: (text: string) => void; problems?: Problem[]; rows?: number; readOnly?: boolean }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const bad = useMemo(() => new Set(p.problems?.map((x) => x.line)), [p.problems]);
  const n = p.value.split("\n").length;
  useLayoutEffect(() => {
    if (gutter.current && area.current) gutter.current.scrollTop = area.current.scrollTop;
  });
  const go = (line: number) => {
    const at = p.value.split("\n").slice(0, line - 1).reduce((sum, l) => sum + l.length + 1, 0);
    const end = p.value.indexOf("\n", at);
    area.current?.focus();
    area.current?.setSelectionRange(at, end < 0 ? p.value.length : end);
    if (area.current) area.current.scrollTop = Math.max(0, (line - 5) * 19);
  };
  return (
    <div className="stack" style={{ gap: "var(--space-2)" }}>
      <div className="editor" data-wrong={!!p.problems?.length || undefined}>
        <pre ref={gutter} aria-hidden>
          {Array.from({ length: n }, (_, i) => <span key={i} data-bad={bad.has(i + 1) || undefined}>{i + 1}{"\n"}</span>)}
        </pre>
        <textarea
          ref={area}
          aria-label={p.label}
          aria-invalid={!!p.problems?.length}
          rows={p.rows ?? 20}
          value={p.value}
          readOnly={p.readOnly}
          spellCheck={false}
          autoCapitalize="off"
          wrap="off"
          onChange={(e) => p.onChange(e.target.value)}
          onScroll={(e) => gutter.current && (gutter.current.scrollTop = e.currentTarget.scrollTop)}
        />
      </div>
      {!!p.problems?.length && (
        <ul className="problems" role="alert">
          {p.problems.map((x, i) => (
            <li key={i}>
              {x.line ? <button type="button" className="link number" onClick={() => go(x.line!)}>Line {x.line}</button> : <span />}
              <span>{x.says}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
