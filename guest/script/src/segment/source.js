// What source functions get: the request, and the object that takes their events.
'use strict';

const { Headers } = require('./fetch');
const { URL } = require('./url');

class ServerRequest {
  #url;
  #headers;
  #body;
  #json;

  constructor(url, headers, body) {
    this.#url = new URL(url);
    this.#headers = new Headers(headers);
    this.#body = body;
  }

  get url() {
    return this.#url;
  }

  get headers() {
    return this.#headers;
  }

  // The same object at each call, as a function may change it.
  json() {
    if (this.#json === undefined) this.#json = JSON.parse(this.#body);
    return this.#json;
  }

  text() {
    return this.#body;
  }
}

let events = [];

function takeEvents() {
  const taken = events.map(event => JSON.stringify(event));
  events = [];
  return taken;
}

function requireMember(message, name) {
  if (message[name] === undefined || message[name] === '') {
    throw new ValidationError(`${name} is required but not defined`);
  }
}

const COMMON = ['userId', 'anonymousId', 'context', 'integrations', 'messageId', 'sentAt', 'timestamp'];

// Copies the members that have a value. Later changes of the function's own objects change nothing.
function copyMembers(message, names) {
  const chosen = {};
  for (const name of names) {
    if (message[name]) chosen[name] = message[name];
  }
  return JSON.parse(JSON.stringify(chosen));
}

function send(type, message, names) {
  if (!message.userId && !message.anonymousId) {
    throw new ValidationError('One of userId,anonymousId is required but not defined');
  }
  const event = { type, ...copyMembers(message, [...names, ...COMMON]) };
  events.push(event);
  return event;
}

const Segment = {
  identify: message => send('identify', message, ['traits']),

  track(message) {
    requireMember(message, 'event');
    return send('track', message, ['event', 'properties']);
  },

  page: message => send('page', message, ['name', 'properties']),

  screen: message => send('screen', message, ['name', 'properties']),

  group(message) {
    requireMember(message, 'groupId');
    return send('group', message, ['groupId', 'traits']);
  },

  alias(message) {
    requireMember(message, 'previousId');
    return send('alias', message, ['previousId']);
  },

  set(message) {
    requireMember(message, 'collection');
    requireMember(message, 'id');
    const object = { type: 'set', ...copyMembers(message, ['collection', 'id', 'properties']) };
    events.push(object);
    return object;
  },
};

module.exports = { Segment, ServerRequest, takeEvents };
