// What every script sends: one call of each kind, as kind and fields.

const details = {
  // The nearest number that JavaScript has to 9007199254740993.
  big: 9007199254740992,
  nested: { "Ünï": ["日本", { "🦀": true }], none: null },
};
const who = { userId: "user-π", anonymousId: "anonymous-1" };
const view = { name: "Über uns", category: "About", properties: details };

export const calls = [
  ["identify", { ...who, traits: details }],
  ["track", { ...who, event: "Order Completed", properties: details }],
  ["page", { ...who, ...view }],
  ["screen", { ...who, ...view }],
  ["group", { ...who, groupId: "group-1", traits: details }],
  ["alias", { userId: who.userId, previousId: "before" }],
];

// Prints for the test what an event must have; it may have more. SDKs change the
// time when they send it.
export function promise(event) {
  const { originalTimestamp, sentAt, timestamp, ...fields } = event;
  console.log(JSON.stringify(fields));
}
