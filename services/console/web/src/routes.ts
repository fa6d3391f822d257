// Every page's address. Addresses are pasted into chats and stand in alerts: they stay as they are.
export const to = {
  distributions: (p: string) => `/app/p/${p}`,
  send: (p: string) => `/app/p/${p}/send`,
  people: (p: string) => `/app/p/${p}/people`,
  list: (p: string, list: string) => `/app/p/${p}/lists/${list}`,
  distribution: (p: string, d: string, tab = "") => `/app/p/${p}/d/${d}${tab && `/${tab}`}`,
  /** unit is an item's, a recipient's or a file's id within the distribution. */
  story: (p: string, d: string, unit: string) => `/app/p/${p}/d/${d}/u/${encodeURIComponent(unit)}`,
  settings: (p: string) => `/app/p/${p}/settings`,
  now: () => "/app/now",
  search: (q = "") => `/app/search${q && `?q=${encodeURIComponent(q)}`}`,
  workers: () => "/app/workers",
  queues: () => "/app/queues",
  definitions: (name = "") => `/app/definitions${name && `/${name}`}`,
  failures: () => "/app/failures",
  alerts: (id = "") => `/app/alerts${id && `/${id}`}`,
  rules: () => "/app/rules",
  history: () => "/app/history",
  audit: () => "/app/audit",
};
