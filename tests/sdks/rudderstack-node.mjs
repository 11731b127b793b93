// Sends one call of each kind with @rudderstack/rudder-sdk-node.
//
// Exits with 0 if the SDK says that each was delivered, and with 3 if it says
// that one was not.

import { createRequire } from "node:module";
import { calls, promise } from "./calls.mjs";

// Found by NODE_PATH, which only `require` looks at.
const Analytics = createRequire(import.meta.url)("@rudderstack/rudder-sdk-node");

const { COLLECTOR: dataPlaneUrl, WRITE_KEY: writeKey } = process.env;
// With an `errorHandler`, failures do not end the process.
const errorHandler = () => {};
const analytics = new Analytics(writeKey, { dataPlaneUrl, errorHandler });
const answers = calls.map(([kind, fields]) => {
  const event = { ...fields, messageId: `message-${kind}` };
  promise({ type: kind, ...event });
  return new Promise((done) => analytics[kind](event, done));
});
await analytics.flush();

const failures = (await Promise.all(answers)).filter(Boolean);
failures.forEach((failure) => console.error(`failed: ${failure}`));
process.exitCode = failures.length ? 3 : 0;
