// Sends one call of each kind with @segment/analytics-node.
//
// Exits with 0 if the SDK says that each was delivered, and with 3 if it says
// that one was not.

import { createRequire } from "node:module";
import { calls, promise } from "./calls.mjs";

// Found by NODE_PATH, which only `require` looks at.
const { Analytics } = createRequire(import.meta.url)("@segment/analytics-node");

const { COLLECTOR: host, WRITE_KEY: writeKey } = process.env;
const analytics = new Analytics({ host, writeKey });
const answers = calls.map(([kind, fields]) => {
  const event = { ...fields, messageId: `message-${kind}` };
  promise({ type: kind, ...event });
  return new Promise((done) => analytics[kind](event, done));
});
await analytics.closeAndFlush();

const failures = (await Promise.all(answers)).filter(Boolean);
failures.forEach((failure) => console.error(`failed: ${failure}`));
process.exitCode = failures.length ? 3 : 0;
