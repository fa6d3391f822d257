// What pages ask the directory of people and lists.
import { keepPreviousData, useInfiniteQuery, useQuery, type InfiniteData, type UseInfiniteQueryResult } from "@tanstack/react-query";
import { api, data, headers, type Schemas } from "../../api/client";
import type { Row } from "../send/draft";

export type Person = Schemas["Person"];
export type List = Schemas["List"];
export type People = UseInfiniteQueryResult<InfiniteData<{ people?: Person[]; next_page_token?: string }>>;

const pageSize = 200;

export const useLists = (production: string) =>
  useQuery({
    queryKey: ["lists", production],
    queryFn: async () => (await data(api.GET("/v1/productions/{production}/lists", { params: { path: { production } } }))).lists ?? [],
    refetchInterval: 30_000,
  });

export const useList = (production: string, list: string) =>
  useQuery({ queryKey: ["lists", production, list], queryFn: () => data(api.GET("/v1/productions/{production}/lists/{list}", { params: { path: { production, list } } })), refetchInterval: 30_000 });

/** usePeople finds people by what their name or address begins with; everybody, if q is empty. Whom it found before stays while it looks. */
export const usePeople = (production: string, q: string): People =>
  useInfiniteQuery({
    queryKey: ["people", production, q],
    queryFn: ({ pageParam, signal }) => data(api.GET("/v1/productions/{production}/people", { params: { path: { production }, query: { q: q || undefined, page_size: pageSize, page_token: pageParam || undefined } }, signal })),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_page_token || undefined,
    placeholderData: keepPreviousData,
  });

const membersOf = (production: string, list: string, pageToken: string, size: number) =>
  data(api.GET("/v1/productions/{production}/lists/{list}/people", { params: { path: { production, list }, query: { page_size: size, page_token: pageToken || undefined } } }));

export const useMembers = (production: string, list: string): People =>
  useInfiniteQuery({
    queryKey: ["members", production, list],
    queryFn: ({ pageParam }) => membersOf(production, list, pageParam, pageSize),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_page_token || undefined,
  });

/** members reads everybody in a list. */
export async function members(production: string, list: string): Promise<Person[]> {
  const out: Person[] = [];
  let token = "";
  do {
    const page = await membersOf(production, list, token, 1000);
    out.push(...(page.people ?? []));
    token = page.next_page_token ?? "";
  } while (token);
  return out;
}

const path = (production: string, list: string) => ({ params: { path: { production, list } } });

/** hundreds calls f with slices of a hundred, as many as the directory takes at once, and adds up what it returns. */
async function hundreds(ids: string[], f: (ids: string[]) => Promise<number>): Promise<number> {
  let n = 0;
  for (let i = 0; i < ids.length; i += 100) n += await f(ids.slice(i, i + 100));
  return n;
}

/** addTo puts people into a list, and says how many were not in it before. */
export const addTo = (production: string, list: string, people: string[]) =>
  hundreds(people, async (people) => (await data(api.POST("/v1/productions/{production}/lists/{list}/people:add", { ...path(production, list), body: { people } }))).added ?? 0);

export const takeOut = (production: string, list: string, people: string[]) =>
  hundreds(people, async (people) => (await data(api.POST("/v1/productions/{production}/lists/{list}/people:remove", { ...path(production, list), body: { people } }))).removed ?? 0);

export const createList = (production: string, name: string) => data(api.POST("/v1/productions/{production}/lists", { params: { path: { production } }, body: { name } }));

export const updateList = (production: string, l: List, change: { name?: string; policy?: Schemas["ListPolicy"] | null }) =>
  data(api.PUT("/v1/productions/{production}/lists/{list}", { ...path(production, l.id!), body: { name: l.name, policy: l.policy, revision: l.revision, ...change } }));

export const deleteList = (production: string, list: string) => data(api.DELETE("/v1/productions/{production}/lists/{list}", path(production, list)));

export const createPerson = (production: string, body: Schemas["CreatePersonBody"]) => data(api.POST("/v1/productions/{production}/people", { params: { path: { production } }, body }));

export const updatePerson = (production: string, person: string, body: Schemas["UpdatePersonBody"]) =>
  data(api.PUT("/v1/productions/{production}/people/{person}", { params: { path: { production, person } }, body }));

export const deletePerson = (production: string, person: string) => data(api.DELETE("/v1/productions/{production}/people/{person}", { params: { path: { production, person } } }));

/** importCsv takes people in from CSV, into a list, too, if one is named. Importing the same again changes nothing. */
export const importCsv = (production: string, csv: string, list = "") =>
  data(api.POST("/v1/productions/{production}/people:import", { params: { path: { production } }, body: { csv, list }, headers: headers("POST") }));

const quoted = (s: string) => (/[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);

/** csvOf writes people as CSV, as importCsv takes it. */
export function csvOf(people: Pick<Row, "name" | "email" | "fields">[], columns: string[]): string {
  return [["name", "email", ...columns], ...people.map((p) => [p.name.trim(), p.email.trim(), ...columns.map((c) => p.fields[c] ?? "")])]
    .map((cells) => cells.map(quoted).join(","))
    .join("\n");
}
