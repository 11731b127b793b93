// A library: `userRules.js` is imported as `userRules`.

/** @param {RudderEvent} event */
export function isTestUser(event) {
  return event.context?.traits?.email?.endsWith('@example.com') ?? false;
}
