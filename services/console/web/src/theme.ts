// Light, dark, or as the system says. Kept in this browser only.
export type Theme = "system" | "light" | "dark";
const key = "filigree-theme";

export const theme = (): Theme => (localStorage.getItem(key) as Theme | null) ?? "system";

export function setTheme(t: Theme) {
  if (t === "system") localStorage.removeItem(key);
  else localStorage.setItem(key, t);
  applyTheme();
}

export function applyTheme() {
  const t = theme();
  if (t === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = t;
}
