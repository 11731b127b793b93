// What the component exports: the mapper of router.js, whose answers are checked.

import { mapper as router } from './router.js';

const encoder = new TextEncoder();

/** The interface `mapper` of wit/mapping.wit. */
export const mapper = {
  configure: (settings) => router.configure(settings),
  mapEvents(events) {
    const outputs = router.mapEvents(events);
    outputs.forEach(({ decision }) => {
      if (decision.tag === 'deliver') setBytes(decision.val.payload);
    });
    return outputs;
  },
};

// The contract's payload is bytes. Of anything else that is put there, the bindings would
// make no bytes at all without a word: a string is encoded, the rest is an error.
function setBytes(payload) {
  if (payload.tag !== 'replaced' || payload.val instanceof Uint8Array) return;
  if (typeof payload.val !== 'string') {
    const found = payload.val === null ? 'null' : typeof payload.val;
    throw new TypeError(`a replaced payload must be a Uint8Array or a string, and one is ${found}`);
  }
  payload.val = encoder.encode(payload.val);
}
