// Opens a page with an SDK for browsers in Chromium, and lets it send.
//
// browser.mjs segment|rudderstack [HOW]: the page, and as JSON, `options` for the
// SDK, `settings` for it to take instead of the collector's, whether to `leave` the
// page at once, before anything is answered, and whether to `wait` on it, so that
// timers of the next minutes run.
//
// Standard error has a line `contacted: HOST` for each host that the page asks for
// something, also where it is refused: only this machine can be reached.
//
// Exits with 0 once the collector has taken every event, and with 3 if it refuses
// one that the SDK does not try again. What a page sends when it is left, nobody
// reports: then it exits with 0 when standard input ends.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { calls, promise } from "./calls.mjs";

// Longer than any SDK waits before it tries again for the first time.
const NO_MORE_TRIES_MS = 3000;
const DEADLINE_MS = 40_000;
// Longer than the intervals at which SDKs report about themselves.
const WAIT_MINUTES = "05:00";
const REQUEST_MS = 1000;

// Found by NODE_PATH, which only `require` looks at.
const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");

const bundles = {
  segment: "@segment/analytics-next/dist/umd/index.js",
  rudderstack: "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js",
};
const [sdk, how = "{}"] = process.argv.slice(2);
const { leave = false, options = {}, settings, wait = false } = JSON.parse(how);
const { COLLECTOR: collector, WRITE_KEY: writeKey, CHROMIUM: executablePath } = process.env;

const files = {
  "/": [new URL(`${sdk}.html`, import.meta.url), "text/html"],
  "/sdk.js": [`${process.env.NODE_PATH}/${bundles[sdk]}`, "text/javascript"],
};
const site = createServer(async (request, response) => {
  const [path, type] = files[request.url] ?? [];
  // A browser asks for an icon, too.
  if (!path) return response.writeHead(204).end();
  response.writeHead(200, { "Content-Type": type }).end(await readFile(path));
});
await once(site.listen(0, "127.0.0.1"), "listening");

// Whatever an SDK asks for, nothing leaves this machine.
const args = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
const browser = await chromium.launch({ executablePath, args });
const context = await browser.newContext();
context.on("request", (request) => {
  const { hostname } = new URL(request.url());
  if (hostname) console.error(`contacted: ${hostname}`);
});
const page = await context.newPage();
if (wait) await page.clock.install();
page.on("console", (message) => console.error(`console: ${message.text()}`));

// Message ids, as often as the collector has answered for them.
const taken = [];
const refused = [];
context.on("response", (response) => {
  const request = response.request();
  if (!request.url().startsWith(collector)) return;
  if (request.method() === "POST") {
    (response.ok() ? taken : refused).push(...messageIds(request));
  } else if (!response.ok()) {
    throw new Error(`${response.status()} for ${request.method()} ${request.url()}`);
  }
});

function messageIds(request) {
  const { batch, ...event } = JSON.parse(request.postData());
  return (batch ?? [event]).map(({ messageId }) => messageId);
}

await page.goto(`http://127.0.0.1:${site.address().port}/`);
const what = { collector, writeKey, options, settings };
const events = await page.evaluate(([what, calls]) => send(what, calls), [what, calls]);
events.forEach(promise);
if (leave) {
  await page.goto("about:blank");
  await once(process.stdin.resume(), "end");
} else {
  const deadline = Date.now() + DEADLINE_MS;
  while (taken.length + refused.length < events.length) {
    if (Date.now() > deadline) throw new Error(`only ${taken} taken, and ${refused} refused`);
    await sleep(10);
  }
}
if (wait) {
  await page.clock.fastForward(WAIT_MINUTES);
  await sleep(REQUEST_MS);
}
if (refused.length) await sleep(NO_MORE_TRIES_MS);
if (new Set(refused).size < refused.length) throw new Error(`tried again: ${refused}`);
await browser.close();
site.close();
process.exitCode = refused.length ? 3 : 0;
