// The class EventEmitter of Node.js, for the package xml2js.
'use strict';

// Old classes inherit from this one without calling its constructor, so each object gets its listeners
// when it needs them.
const listeners = new WeakMap();

function listenersOf(emitter) {
  if (!listeners.has(emitter)) listeners.set(emitter, new Map());
  return listeners.get(emitter);
}

class EventEmitter {
  on(name, listener) {
    listenersOf(this).set(name, [...this.listeners(name), listener]);
    return this;
  }

  addListener(name, listener) {
    return this.on(name, listener);
  }

  once(name, listener) {
    const once = (...values) => {
      this.removeListener(name, once);
      listener.apply(this, values);
    };
    return this.on(name, once);
  }

  removeListener(name, listener) {
    listenersOf(this).set(name, this.listeners(name).filter(other => other !== listener));
    return this;
  }

  removeAllListeners(name) {
    if (name === undefined) listenersOf(this).clear();
    else listenersOf(this).delete(name);
    return this;
  }

  listeners(name) {
    return listenersOf(this).get(name) || [];
  }

  emit(name, ...values) {
    const listeners = this.listeners(name);
    if (name === 'error' && listeners.length === 0) throw values[0];
    for (const listener of listeners) listener.apply(this, values);
    return listeners.length > 0;
  }
}

module.exports = EventEmitter;
module.exports.EventEmitter = EventEmitter;
