import { itemStates, stateWord } from "../../words";

// A shape for each state, so that colour is never all there is: a ring waits, half a disc is at work, a tick is sent.
const shapes: Record<string, React.ReactNode> = {
  "": <circle cx="8" cy="8" r="1.5" fill="currentColor" />,
  pending: <circle cx="8" cy="8" r="4.5" fill="none" stroke="currentColor" strokeWidth="1.5" />,
  running: <><circle cx="8" cy="8" r="4.5" fill="none" stroke="currentColor" strokeWidth="1.5" /><path d="M8 3.5a4.5 4.5 0 0 1 0 9z" fill="currentColor" /></>,
  done: <path d="m3.5 8.5 3 3 6-7" fill="none" stroke="currentColor" strokeWidth="1.9" strokeLinecap="round" strokeLinejoin="round" />,
  failed: <path d="m4.5 4.5 7 7m0-7-7 7" fill="none" stroke="currentColor" strokeWidth="1.9" strokeLinecap="round" />,
  skipped: <path d="M4 8h8" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" />,
  cancelled: <><circle cx="8" cy="8" r="4.5" fill="none" stroke="currentColor" strokeWidth="1.4" /><path d="m5 11 6-6" stroke="currentColor" strokeWidth="1.4" /></>,
};

/** Glyph is the state of one copy as a shape; what it is stands in words beside it or in its label. */
export const Glyph = ({ state }: { state: string }) => (
  <svg className="glyph" data-tone={state ? stateWord(itemStates, state).tone : "off"} viewBox="0 0 16 16" width="16" height="16" aria-hidden>
    {shapes[state] ?? shapes[""]}
  </svg>
);
