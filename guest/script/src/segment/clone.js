// structuredClone for what events consist of.
'use strict';

function structuredClone(value, known = new Map()) {
  if (value === null || typeof value !== 'object') {
    if (typeof value === 'function' || typeof value === 'symbol') {
      throw new TypeError(`${String(value)} could not be cloned.`);
    }
    return value;
  }
  if (known.has(value)) return known.get(value);
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof RegExp) return new RegExp(value.source, value.flags);
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (ArrayBuffer.isView(value)) return new value.constructor(value);
  if (value instanceof Error) return Object.assign(new Error(value.message), { name: value.name });
  let clone;
  if (value instanceof Map) {
    known.set(value, (clone = new Map()));
    for (const [key, member] of value) clone.set(structuredClone(key, known), structuredClone(member, known));
  } else if (value instanceof Set) {
    known.set(value, (clone = new Set()));
    for (const member of value) clone.add(structuredClone(member, known));
  } else {
    known.set(value, (clone = Array.isArray(value) ? new Array(value.length) : {}));
    for (const key of Object.keys(value)) clone[key] = structuredClone(value[key], known);
  }
  return clone;
}

module.exports = { structuredClone: value => structuredClone(value) };
