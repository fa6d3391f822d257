// Signing in by an address that works once, signing out, and what somebody sees whose session is over.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browse, patience, signedIn, up } from "./world.mjs";

let server, browser;
before(async () => {
  server = await up();
  browser = await browse();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test("the addresses that filigree up prints work, once", async () => {
  const addresses = server.said().match(/http\S+\/sign-in#\S+/g) ?? [];
  assert.equal(addresses.length, 3, "one for each role");
  const first = await (await browser.newContext()).newPage();
  first.setDefaultTimeout(patience);
  await first.goto(addresses[0]);
  await first.locator("main h1").waitFor();
  assert.ok(!first.url().includes("#"), "the code is out of the address bar");
  const second = await (await browser.newContext()).newPage();
  second.setDefaultTimeout(patience);
  await second.goto(addresses[0]);
  await second.getByRole("alert").waitFor();
  assert.match(await second.getByRole("alert").innerText(), /once|used/);
});

test("an address that was asked for comes after signing in", async () => {
  const page = await (await browser.newContext({ baseURL: server.url })).newPage();
  page.setDefaultTimeout(patience);
  await page.goto("/app/p/default/people");
  await page.getByLabel("Sign-in address or code").fill(await server.signInURL("coordinator"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1, name: "People" }).waitFor();
});

test("signing out ends the session for all that has its cookie", async () => {
  const page = await signedIn(browser, server, "coordinator");
  const cookies = await page.context().cookies();
  await page.getByRole("button", { name: "Appearance and sign-out" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to Filigree" }).waitFor();
  const kept = await browser.newContext({ baseURL: server.url });
  await kept.addCookies(cookies);
  assert.equal((await kept.request.get("/v1/session")).status(), 401);
});

test("a session that is taken away leads to signing in, and says so", async () => {
  const page = await signedIn(browser, server, "oncall");
  await page.context().clearCookies();
  await page.goto("/app/now");
  await page.getByRole("heading", { name: "Sign in to Filigree" }).waitFor();
});

test("who signs in next at the same browser sees nothing of who was there", async () => {
  const { id } = JSON.parse(await server.cli("send", "--json", "--title", "A secret ending", "--to", join(server.samples, "people.csv"), "--file", join(server.samples, "look-book.pdf")));
  const page = await signedIn(browser, server, "coordinator");
  await page.goto("/app/p/default/send");
  await page.getByRole("textbox", { name: "Add people" }).fill("Kim Secret <kim@secret.example>");
  await page.getByRole("textbox", { name: "Add people" }).press("Enter");
  await page.getByRole("table", { name: "People to send to" }).waitFor();
  await page.goto("/app/p/default");
  await page.getByText("A secret ending").first().waitFor();
  // The session ends while its page is open: the next question leads to signing in, without loading anything anew.
  await page.context().clearCookies();
  await page.getByText("A secret ending").first().click();
  await page.getByLabel("Sign-in address or code").fill(await server.signInURL("coordinator"));
  // What is fetched again does not come: what is shown now could only be from before.
  await page.route(/\/v1\/productions\/[^?]*distributions/, (r) => r.abort());
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").filter({ hasText: "cannot be reached" }).waitFor();
  assert.ok(page.url().includes(id), "it is the page that was asked for");
  assert.equal(await page.getByText("A secret ending").count(), 0);
  await page.getByRole("link", { name: "Distributions", exact: true }).first().click();
  await page.getByRole("alert").filter({ hasText: "cannot be reached" }).waitFor();
  assert.equal(await page.getByText("A secret ending").count(), 0);
  await page.getByRole("link", { name: "Send", exact: true }).first().click();
  await page.getByRole("textbox", { name: "Add people" }).waitFor();
  assert.equal(await page.getByRole("table", { name: "People to send to" }).count(), 0, "a draft is for who wrote it");
});

test("a page that breaks says so, and the others go on", async () => {
  const page = await signedIn(browser, server, "oncall");
  await page.route("**/v1/top", (r) => r.fulfill({ json: { workers: 1 } })); // no server of ours answers so
  await page.goto("/app/workers");
  await page.getByRole("alert").filter({ hasText: "This page broke." }).waitFor();
  await page.getByRole("link", { name: "Rules", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Rules" }).waitFor();
  await page.unroute("**/v1/top");
  await page.goto("/app/workers");
  await page.getByRole("heading", { level: 1, name: "Workers" }).waitFor();
});

test("another site's page can do nothing with the cookie", async () => {
  const page = await signedIn(browser, server, "coordinator");
  const cookie = (await page.context().cookies())[0];
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, "Strict");
  const answer = await fetch(`${server.url}/v1/productions`, { method: "POST", headers: { Cookie: `${cookie.name}=${cookie.value}`, "Content-Type": "application/json" }, body: '{"id":"x1","name":"x"}' });
  assert.equal(answer.status, 403, "without the header that only our page knows");
});
