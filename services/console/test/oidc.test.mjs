// Signing in by the studio's own sign-in: a small OpenID Connect provider, on another site than the console, and what is
// said when it does not vouch for somebody.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { browse, patience, up } from "./world.mjs";

/** provider signs in whoever `user` is, at once; `refuses` is an error that it sends browsers back with instead. */
async function provider(client, secret) {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const codes = new Map();
  const self = { user: {}, refuses: "" };
  const json = (res, status, body) => res.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const idToken = (claims) => {
    const text = `${part({ alg: "ES256", kid: "k1", typ: "JWT" })}.${part(claims)}`;
    return `${text}.${sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  };
  const server = createServer(async (req, res) => {
    const url = new URL(req.url, self.issuer);
    switch (url.pathname) {
      case "/.well-known/openid-configuration":
        return json(res, 200, {
          issuer: self.issuer, authorization_endpoint: `${self.issuer}/authorize`, token_endpoint: `${self.issuer}/token`, jwks_uri: `${self.issuer}/keys`,
          response_types_supported: ["code"], subject_types_supported: ["public"], id_token_signing_alg_values_supported: ["ES256"], token_endpoint_auth_methods_supported: ["client_secret_basic"],
        });
      case "/keys":
        return json(res, 200, { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k1", use: "sig", alg: "ES256" }] });
      case "/authorize": {
        const asked = url.searchParams;
        const back = new URL(asked.get("redirect_uri"));
        back.searchParams.set("state", asked.get("state"));
        if (self.refuses) back.searchParams.set("error", self.refuses);
        else {
          const code = randomBytes(16).toString("hex");
          codes.set(code, { nonce: asked.get("nonce"), challenge: asked.get("code_challenge"), user: self.user });
          back.searchParams.set("code", code);
        }
        return res.writeHead(302, { Location: back.href }).end();
      }
      case "/token": {
        let body = "";
        for await (const b of req) body += b;
        const form = new URLSearchParams(body);
        const known = codes.get(form.get("code"));
        codes.delete(form.get("code"));
        if (req.headers.authorization !== `Basic ${Buffer.from(`${client}:${secret}`).toString("base64")}`) return json(res, 401, { error: "invalid_client" });
        if (!known || createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url") !== known.challenge) return json(res, 400, { error: "invalid_grant" });
        const now = Math.floor(Date.now() / 1000);
        return json(res, 200, {
          access_token: randomBytes(16).toString("hex"), token_type: "Bearer", expires_in: 60,
          id_token: idToken({ iss: self.issuer, aud: client, iat: now, exp: now + 60, nonce: known.nonce, ...known.user }),
        });
      }
    }
    res.writeHead(404).end();
  });
  await new Promise((r) => server.listen(0, "127.0.0.1", r));
  // Another site than the console's 127.0.0.1, as a provider is.
  self.issuer = `http://localhost:${server.address().port}`;
  self.close = () => new Promise((r) => (server.closeAllConnections(), server.close(r)));
  return self;
}

let studio, server, browser;
before(async () => {
  studio = await provider("filigree", "hush");
  server = await up("--oidc-issuer", studio.issuer, "--oidc-name", "Studio SSO", "--oidc-client-id", "filigree", "--oidc-client-secret", "hush",
    "--oidc-grant", "crew=coordinator@*", "--egress-open", "127.0.0.0/8", "--egress-open", "::1/128");
  browser = await browse();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await studio?.close();
});

async function open(path) {
  const page = await (await browser.newContext({ baseURL: server.url })).newPage();
  page.setDefaultTimeout(patience);
  await page.goto(path);
  return page;
}

test("whom the studio knows is led to the page that they asked for", async () => {
  Object.assign(studio, { user: { sub: "u1", email: "kim@studio.example", email_verified: true, groups: ["crew"] }, refuses: "" });
  const page = await open("/app/p/default/people");
  await page.getByRole("link", { name: "Go on with Studio SSO" }).click();
  await page.getByRole("heading", { level: 1, name: "People" }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/app/p/default/people");
  assert.equal((await (await page.request.get("/v1/session")).json()).subject, "oidc:kim@studio.example");
  await page.getByText("oidc:kim@studio.example").waitFor();
});

test("whom it does not vouch for is told why, and may come in by an address", async () => {
  const said = {
    "is not in a group": [{ user: { sub: "u2", groups: ["strangers"] }, refuses: "" }, /no group of yours/],
    "is refused": [{ user: {}, refuses: "access_denied" }, /did not sign you in/],
  };
  for (const [who, [is, says]] of Object.entries(said)) {
    Object.assign(studio, is);
    const page = await open("/app/p/default/people");
    await page.getByRole("link", { name: "Go on with Studio SSO" }).click();
    await page.waitForURL(/problem=/);
    assert.match(await page.getByRole("alert").innerText(), says, who);
    await page.getByLabel("Sign-in address or code").fill(await server.signInURL("coordinator"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { level: 1, name: "People" }).waitFor();
  }
});

test("what was not begun in this browser signs nobody in", async () => {
  const page = await open("/v1/session/oidc/callback?state=x&code=y");
  assert.match(await page.getByRole("alert").innerText(), /not begun in this browser/);
  assert.equal((await page.request.get("/v1/session")).status(), 401);
});
