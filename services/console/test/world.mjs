// The world that the console's tests look at: a real `filigree up`, a real mail server, a real browser.
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { SMTPServer } from "smtp-server";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const bin = process.env.FILIGREE_BIN ? dirname(process.env.FILIGREE_BIN) : join(root, "bin");
const run = promisify(execFile);

/** patience is how long, in milliseconds, a test waits for what must come: these machines do other work, too. */
export const patience = 120_000;

/** until waits until f answers something true, and returns it. */
export async function until(what, f, limit = patience) {
  const end = Date.now() + limit;
  for (let last; ; ) {
    try {
      last = await f();
      if (last) return last;
    } catch (e) {
      last = e;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${limit / 1000} s; last: ${last}`);
    await new Promise((r) => setTimeout(r, 100));
  }
}

/** mailServer takes mail over real SMTP. It refuses the addresses in `refused` as a mail server does that has no such mailbox. */
export async function mailServer(refused = []) {
  const mails = [];
  const server = new SMTPServer({
    disabledCommands: ["AUTH", "STARTTLS"],
    onRcptTo(address, session, done) {
      if (!refused.includes(address.address.toLowerCase())) return done();
      const e = new Error(`5.1.1 <${address.address}>: no such mailbox here`);
      e.responseCode = 550;
      done(e);
    },
    onData(stream, session, done) {
      const digest = createHash("sha256");
      let size = 0;
      let head = "";
      stream.on("data", (b) => {
        if (head.length < 65536) head += b.toString("latin1");
        digest.update(b);
        size += b.length;
      });
      stream.on("end", () => {
        mails.push({ to: session.envelope.rcptTo.map((r) => r.address), head, size, sha256: digest.digest("hex") });
        done();
      });
    },
  });
  await new Promise((r) => server.listen(0, "127.0.0.1", r));
  return { url: `smtp://127.0.0.1:${server.server.address().port}`, mails, close: () => new Promise((r) => server.close(r)) };
}

/** up starts a server of its own on an empty folder, with more flags if need be. */
export async function up(...flags) {
  const dir = mkdtempSync(join(tmpdir(), "filigree-console-"));
  const data = join(dir, "data");
  const child = spawn(join(bin, "filigree"), ["up", "--data", data, "--addr", "127.0.0.1:0", "--link-addr", "127.0.0.1:0", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (b) => (said += b));
  const ended = new Promise((r) => child.on("exit", r));
  const url = await until("filigree up is ready", () => {
    if (child.exitCode !== null) throw new Error(`filigree up ended: ${said}`);
    return said.match(/^ready (http\S+)/m)?.[1];
  });
  const credentials = JSON.parse(readFileSync(join(data, "credentials.json"), "utf8"));
  const env = { ...process.env, FILIGREE_DATA: data };
  const cli = async (...args) => (await run(join(bin, "filigree"), args, { env, maxBuffer: 64 << 20 })).stdout;
  const samples = join(dir, "samples");
  await run(join(bin, "samples"), ["-o", samples]);
  return {
    url, credentials, cli, dir, data, samples,
    said: () => said,
    /** api asks the REST API as a role. */
    async api(role, path, init = {}) {
      const answer = await fetch(url + path, { ...init, headers: { Authorization: `Bearer ${credentials.tokens[role]}`, "Content-Type": "application/json", ...init.headers } });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${init.method ?? "GET"} ${path}: ${answer.status} ${text}`);
      return text ? JSON.parse(text) : {};
    },
    /** signInURL makes a fresh address at which somebody of that role signs in. */
    async signInURL(role) {
      const out = await cli("sign-in", "--role", role, "--production", "*");
      return out.match(/http\S+\/sign-in#\S+/)[0];
    },
    async stop() {
      child.kill("SIGTERM");
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** browse starts a browser that talks to nobody but the pages it is sent to. */
export async function browse() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-quic", "--disable-component-update"] });
}

/** signedIn opens a page in a context of its own and signs in as a role. Errors on the page's console are gathered in page.wrong. */
export async function signedIn(browser, server, role, options = {}) {
  const context = await browser.newContext({ baseURL: server.url, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.wrong = [];
  page.on("console", (m) => m.type() === "error" && !m.text().startsWith("Failed to load resource") && page.wrong.push(m.text()));
  page.on("response", (r) => r.status() >= 400 && page.wrong.push(`${r.status()} ${r.request().method()} ${r.url()} on ${page.url()}`));
  page.on("pageerror", (e) => page.wrong.push(String(e)));
  await page.goto(await server.signInURL(role));
  await page.locator("main h1").first().waitFor();
  page.wrong.length = 0; // the browser calls it an error that nobody was signed in yet
  return page;
}

const shots = process.env.FILIGREE_SCREENSHOTS;

/** shoot keeps a picture of the page in the folder FILIGREE_SCREENSHOTS, if there is one. */
export async function shoot(page, name, options = {}) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), ...options });
}

/** peopleCSV writes n people's addresses to a file and returns its path. */
export function peopleCSV(server, n, domain = "example.com") {
  const path = join(server.dir, `people-${n}-${domain}.csv`);
  const lines = ["name,email,role"];
  for (let i = 1; i <= n; i++) lines.push(`Person ${i},person${i}@${domain},Crew`);
  writeFileSync(path, lines.join("\n") + "\n");
  return path;
}
