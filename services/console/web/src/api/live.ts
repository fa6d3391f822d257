import { useEffect, useState } from "react";

/** What is known of a stream: live, coming back after it broke, or at its end since there is nothing more to come. */
export type Link = "connecting" | "live" | "reconnecting" | "ended";

/** least is how long, in milliseconds, at least lies between two tellings of a fast stream: a page need not be drawn oftener. */
const least = 250;

/**
 * useLive follows a stream of server-sent events and tells each `event`'s data to tell, at most four times a second, the
 * newest only. The browser comes back by itself after an interruption, with the last event's id.
 */
export function useLive<T>(path: string | undefined, event: string, tell: (data: T) => void): Link {
  const [link, setLink] = useState<Link>("connecting");
  useEffect(() => {
    if (!path) return;
    const source = new EventSource(path);
    let newest: T | undefined;
    let timer: number | undefined;
    const flush = () => {
      timer = undefined;
      if (newest !== undefined) tell(newest);
      newest = undefined;
    };
    const received = (e: MessageEvent<string>) => {
      newest = JSON.parse(e.data) as T;
      timer ??= window.setTimeout(flush, least);
      setLink("live");
    };
    source.addEventListener("open", () => setLink("live"));
    source.addEventListener(event, received as EventListener);
    source.addEventListener("end", () => {
      source.close();
      setLink("ended");
    });
    // A browser gives up where the answer was no stream (204 says: there is nothing more); else it comes back.
    source.addEventListener("error", () => setLink(source.readyState === EventSource.CLOSED ? "ended" : "reconnecting"));
    return () => {
      source.close();
      if (timer !== undefined) {
        window.clearTimeout(timer);
        flush();
      }
    };
    // tell is a fresh closure each time; what it does depends on path alone.
  }, [path, event]);
  return link;
}
