// A coordinator who has never seen a manual, from an empty system to "40 people have it", two of the addresses wrong: one
// mistyped, which the page says before anything is sent, and one that no mail server knows, which it says afterwards. What
// the hands and eyes of a person take is counted by the keystroke-level model (Card, Moran, Newell, 1980).
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browse, mailServer, shoot, signedIn, until, up } from "./world.mjs";

const nobody = "nobody.here@harbour.example";
let server, browser, mail;
before(async () => {
  mail = await mailServer([nobody]);
  server = await up("--smtp", mail.url);
  browser = await browse();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await mail?.close();
});

/** person counts, in seconds, what somebody takes who thinks before each act: 1.35 s to decide, 1.1 s to point, 0.2 s to press, 0.28 s for a key. */
function person() {
  let took = 0;
  return {
    decides: () => (took += 1.35),
    points: () => (took += 1.35 + 1.1 + 0.2),
    types: (keys) => (took += 0.28 * keys),
    reads: (words) => (took += words / 4), // 240 words a minute
    took: () => took,
  };
}

test("from nothing to 40 people, two addresses wrong, in under two minutes", async (t) => {
  const page = await signedIn(browser, server, "coordinator", { viewport: { width: 1440, height: 900 } });
  const p = person();
  const begun = Date.now();
  p.reads(40); // the empty page says what to do
  await page.getByRole("link", { name: "Send something" }).click();
  p.points();

  await page.getByRole("heading", { level: 1, name: "Send" }).waitFor();
  p.reads(30);
  await page.locator('input[type=file][aria-label="Files to send"]').setInputFiles(join(server.samples, "the-lamplighters.pdf"));
  p.points();
  p.points(); // the system's own window: the file, and Open
  p.points();

  const people = Array.from({ length: 40 }, (_, i) => [`Person ${i + 1}`, `person${i + 1}@harbour.example`, "Crew"]);
  people[11][1] = "person12@gmial.com";
  people[29][1] = nobody;
  const cells = people.map((r) => r.join("\t")).join("\n");
  const box = page.getByRole("textbox", { name: "Add people" });
  await box.click();
  p.points();
  await box.evaluate((e, text) => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    e.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  }, cells);
  p.types(2);
  await page.getByText("40 people", { exact: false }).first().waitFor();
  p.reads(20);
  const fix = page.getByRole("button", { name: /Use person12@gmail.com/ }).first();
  await fix.waitFor();
  await shoot(page, "path-mistyped");
  await fix.click();
  p.points();

  const send = page.getByRole("button", { name: "Send to 40 people" });
  await until("it can be sent", () => send.isEnabled());
  p.reads(40); // the summary, and the page with the mark
  await shoot(page, "path-before-sending");
  await send.click();
  p.points();

  await page.getByRole("button", { name: "Take it back" }).waitFor();
  await shoot(page, "path-undo");
  p.reads(20);
  const id = page.url().match(/\/d\/([0-9A-Z]+)/)[1];
  const ended = await until("it has ended", async () => {
    const d = await server.api("coordinator", `/v1/productions/default/distributions/${id}`);
    return d.ended_at && d;
  });
  assert.equal(ended.state, "completed_with_failures");
  await page.getByText("Sent, not to all").first().waitFor();
  const machine = (Date.now() - begun) / 1000;

  // The page says the truth about all 40: 39 have it, and why one has not.
  assert.equal(new Set(mail.mails.flatMap((m) => m.to)).size, 39);
  await page.goto(`/app/p/default/d/${id}?state=trouble`);
  await page.getByText(nobody).first().waitFor();
  await page.getByText("39 of 40 copies went out, to 39 of 40 people.").waitFor();
  const said = await page.locator("main").innerText();
  assert.match(said, /no such mailbox|does not exist|refuse|not sent|bounced/i);
  const { recipients } = await server.api("coordinator", `/v1/productions/default/distributions/${id}/recipients?page_size=100`);
  assert.equal(recipients.filter((r) => r.delivery.state === "sent").length, 39);
  await shoot(page, "path-after");
  p.reads(30);

  // She corrects the address, and all 40 have it.
  await page.getByRole("button", { name: /Actions for Person 30/ }).click();
  p.points();
  await page.getByRole("button", { name: /Correct and send again/ }).click();
  p.points();
  await page.getByLabel("Address").last().fill("person30@harbour.example");
  p.points();
  p.types(10);
  await page.getByRole("dialog").last().getByRole("button", { name: /send/i }).last().click();
  p.points();
  await until("all 40 have it", async () => (await server.api("coordinator", `/v1/productions/default/distributions/${id}`)).recipients?.sent === 40);
  await page.goto(`/app/p/default/d/${id}`);
  await page.getByText("Sent to all").first().waitFor();
  assert.equal(new Set(mail.mails.flatMap((m) => m.to)).size, 40);
  assert.equal(mail.mails.length, 40, "nobody got it twice");
  t.diagnostic(`a person takes ${Math.round(p.took())} s with hands and eyes; the machine took ${Math.round(machine)} s until it had ended`);
  assert.ok(p.took() < 120, `a person takes ${p.took()} s`);
  assert.deepEqual(page.wrong, []);
});
