// Every page, at three widths, light and dark: no serious finding of axe, nothing wrong on the console, nothing wider than
// the window. FILIGREE_SCREENSHOTS=DIR keeps what was seen.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browse, shoot, signedIn, until, up } from "./world.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const widths = { phone: [390, 844], tablet: [820, 1180], wide: [1440, 900] };

let server, browser, sent, failed;

before(async () => {
  server = await up();
  browser = await browse();
  const send = async (title, ...files) => {
    const out = await server.cli("send", "--json", "--title", title, "--to", join(server.samples, "people.csv"), ...files.flatMap((f) => ["--file", join(server.samples, f)]));
    return JSON.parse(out).id;
  };
  sent = await send("The Lamplighters, day 12", "the-lamplighters.pdf", "call-sheet-day-12.pdf", "look-book.pdf");
  failed = await send("Look book, second cut", "look-book.pdf");
  await server.cli("cancel", failed);
  await until("the first distribution has ended", async () => (await server.api("coordinator", `/v1/productions/default/distributions/${sent}`)).ended_at);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** pagesOf are all pages that somebody of a role sees. */
const pagesOf = {
  coordinator: () => ({
    distributions: "/app/p/default",
    send: "/app/p/default/send",
    people: "/app/p/default/people",
    settings: "/app/p/default/settings",
    distribution: `/app/p/default/d/${sent}`,
    cancelled: `/app/p/default/d/${failed}`,
    nowhere: "/app/no-such-page",
  }),
  oncall: () => ({
    now: "/app/now",
    search: "/app/search?q=lamplighters",
    why: `/app/p/default/d/${sent}/why`,
    steps: `/app/p/default/d/${sent}/steps`,
    events: `/app/p/default/d/${sent}/events`,
    story: `/app/p/default/d/${sent}/u/r1`,
    alerts: "/app/alerts",
    failures: "/app/failures",
    workers: "/app/workers",
    queues: "/app/queues",
    definitions: "/app/definitions",
    definition: "/app/definitions/send-documents",
    rules: "/app/rules",
    history: "/app/history",
  }),
  admin: () => ({ audit: "/app/audit" }),
};

// In `make test` each width is seen once by each role, light and dark in turn; FILIGREE_PAGES=all sees all.
const all = process.env.FILIGREE_PAGES === "all";
const seen = { coordinator: { phone: "dark", tablet: "", wide: "light" }, oncall: { phone: "light", tablet: "", wide: "dark" }, admin: { phone: "", tablet: "light", wide: "" } };

for (const role of Object.keys(pagesOf))
  for (const colorScheme of ["light", "dark"])
    for (const [width, [w, h]] of Object.entries(widths).filter(([width]) => all || seen[role][width] === colorScheme))
      test(`${role}, ${width}, ${colorScheme}`, async () => {
        const page = await signedIn(browser, server, role, { viewport: { width: w, height: h }, colorScheme, reducedMotion: "reduce" });
        const problems = []; // all that is found on all pages is told at once
        for (const [name, path] of Object.entries(pagesOf[role]())) {
          await page.goto(path);
          await page.locator("main h1, main h2").first().waitFor();
          await until(`${path} has what it loads`, async () => (await page.locator(".bone").count()) === 0);
          const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (tooWide > 0) problems.push(`${path} is ${tooWide} px wider than a window of ${w}`);
          await page.evaluate(axe);
          const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
          for (const v of found.violations) if (["serious", "critical"].includes(v.impact)) problems.push(`${path}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join("\n  ")}`);
          await shoot(page, `${name}-${width}-${colorScheme}`, { fullPage: width === "phone" });
        }
        assert.deepEqual([...problems, ...page.wrong], []);
        await page.context().close();
      });
