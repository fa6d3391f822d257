import { useEffect, useState } from "react";

/** useSettled is a value that has not changed for a while. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, set] = useState(value);
  useEffect(() => {
    const t = window.setTimeout(() => set(value), ms);
    return () => window.clearTimeout(t);
  }, [value, ms]);
  return settled;
}
