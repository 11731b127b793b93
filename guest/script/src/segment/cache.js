// The cache of an instance. It lives as long as the instance.
'use strict';

const ENTRIES_MAX = 1000;

// In the order in which they were stored. A value is a promise, so that two calls for the same key
// share one result.
const entries = new Map();

const cache = {
  async load(key, ttl, create) {
    const now = Date.now();
    const known = entries.get(key);
    if (known && now < known.end) return known.value;
    const value = (async () => create())();
    const end = ttl === undefined || ttl === null || ttl === -1 ? Infinity : now + ttl;
    entries.delete(key);
    if (entries.size >= ENTRIES_MAX) entries.delete(entries.keys().next().value);
    const entry = { value, end };
    entries.set(key, entry);
    try {
      return await value;
    } catch (error) {
      if (entries.get(key) === entry) entries.delete(key);
      throw error;
    }
  },

  delete(key) {
    entries.delete(key);
  },
};

module.exports = { cache };
