// What on-call does, each seen to have its effect: a function paused and resumed, a limit set, an alert taken, a group of
// failures retried.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browse, mailServer, peopleCSV, signedIn, until, up } from "./world.mjs";

const refused = ["person1@gone.example"];
let server, browser, mail, page;
before(async () => {
  mail = await mailServer(refused);
  server = await up("--smtp", mail.url);
  browser = await browse();
  page = await signedIn(browser, server, "oncall", { viewport: { width: 1440, height: 900 } });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await mail?.close();
});

const ask = (path) => server.api("oncall", path);
const yes = (name) => page.getByRole("dialog").getByRole("button", { name, exact: true }).click();

test("a function that is paused begins nothing until it is resumed", async () => {
  const paused = async () => (await ask("/v1/top")).functions.find((f) => f.function === "email.Send")?.paused ?? false;
  await page.goto("/app/queues");
  const row = page.getByRole("row").filter({ hasText: "email.Send" });
  await row.getByRole("button", { name: "Pause…" }).click();
  await yes("Pause");
  await until("it is paused", paused);
  await row.getByRole("button", { name: "Resume", exact: true }).click();
  await yes("Resume");
  await until("it is resumed", async () => !(await paused()));
});

test("a limit is set, changed and removed", async () => {
  const limit = async () => (await ask("/v1/studio/limits")).limits?.find((l) => l.name === "email.Send");
  await page.goto("/app/queues?tab=limits");
  const card = page.getByRole("region", { name: "Of the studio" });
  await card.getByRole("button", { name: "New limit" }).click();
  await card.getByLabel("Name").fill("email.Send");
  await card.getByLabel("At once").fill("2");
  await card.getByRole("button", { name: "Save…" }).click();
  await yes("Set it");
  assert.equal((await until("it is set", limit)).concurrency, 2);
  await card.getByRole("button", { name: "Change" }).click();
  await card.getByLabel("At once").fill("3");
  await card.getByRole("button", { name: "Save…" }).click();
  await yes("Change it");
  await until("it is changed", async () => (await limit()).concurrency === 3);
  await card.getByRole("button", { name: "Remove…" }).click();
  await yes("Remove it");
  await until("it is removed", async () => !(await limit()));
});

test("a worker that is drained gets nothing new until it may work again", async () => {
  const { worker } = (await until("there is a worker", async () => (await ask("/v1/top")).workers?.[0]));
  const draining = async () => (await ask("/v1/top")).workers.find((w) => w.worker === worker)?.draining ?? false;
  await page.goto("/app/workers");
  const row = page.getByRole("row").filter({ hasText: worker });
  await row.getByRole("button", { name: "Drain…" }).click();
  await page.getByRole("dialog").getByText("It gets nothing new").waitFor();
  await yes("Drain");
  await until("it is drained", draining);
  await row.getByRole("button", { name: "Let it work…" }).click();
  await yes("Let it work");
  await until("it works again", async () => !(await draining()));
});

test("an alert is taken, and is over when what fails is retried", async () => {
  await server.api("admin", "/v1/rules/mail-refused", { method: "PUT", body: JSON.stringify({ name: "mail-refused", title: "Mail is refused", on: "failures", when: "open > 0", severity: "warn" }) });
  await server.cli("send", "--json", "--title", "Look book", "--to", peopleCSV(server, 1, "gone.example"), "--file", join(server.samples, "look-book.pdf"));
  const alert = async () => (await ask("/v1/alerts?page_size=100")).alerts?.find((a) => a.rule === "mail-refused");
  await until("there is an alert", alert);
  await page.goto("/app/alerts");
  await page.getByRole("listitem").filter({ hasText: "Mail is refused" }).getByRole("button", { name: "I have it" }).click();
  await until("somebody has it", async () => (await alert()).state === "acknowledged");
  assert.ok((await alert()).acknowledged_by);

  refused.length = 0; // there is such a mailbox now
  await page.goto("/app/failures");
  await page.getByRole("button", { name: "Retry for 1 person" }).click();
  await page.getByRole("dialog").getByText("Look book").waitFor();
  await yes("Retry");
  await until("the mail has come", () => mail.mails.length === 1);
  assert.deepEqual(mail.mails[0].to, ["person1@gone.example"]);
  await until("the alert is over", async () => (await alert())?.state === "resolved");
  assert.deepEqual(page.wrong, []);
});
