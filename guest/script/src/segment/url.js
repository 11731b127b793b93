// URL and URLSearchParams, as the WHATWG specifies them. Rust parses and changes the addresses.
'use strict';

const PARTS = ['href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname',
  'search', 'hash'];
const text = value => String(value).toWellFormed();

// The function that informs a URL of a changed query.
const changed = Symbol('changed');

class URLSearchParams {
  #pairs = [];

  constructor(init = '') {
    Object.defineProperty(this, changed, { value: undefined, writable: true, enumerable: false });
    if (init !== null && typeof init === 'object') {
      if (typeof init[Symbol.iterator] === 'function') {
        for (const pair of init) {
          const [name, value, ...rest] = pair;
          if (value === undefined || rest.length > 0) {
            throw new TypeError('Each query pair must be an iterable [name, value] tuple');
          }
          this.#pairs.push([text(name), text(value)]);
        }
      } else {
        for (const name of Object.keys(init)) this.#pairs.push([text(name), text(init[name])]);
      }
    } else {
      this.#read(text(init));
    }
  }

  get size() {
    return this.#pairs.length;
  }

  append(name, value) {
    this.#pairs.push([text(name), text(value)]);
    this.#report();
  }

  delete(name, value) {
    this.#pairs = this.#pairs.filter(pair => pair[0] !== text(name) || (value !== undefined && pair[1] !== text(value)));
    this.#report();
  }

  get(name) {
    const pair = this.#pairs.find(pair => pair[0] === text(name));
    return pair ? pair[1] : null;
  }

  getAll(name) {
    return this.#pairs.filter(pair => pair[0] === text(name)).map(pair => pair[1]);
  }

  has(name, value) {
    return this.#pairs.some(pair => pair[0] === text(name) && (value === undefined || pair[1] === text(value)));
  }

  set(name, value) {
    const first = this.#pairs.find(pair => pair[0] === text(name));
    if (first) {
      first[1] = text(value);
      this.#pairs = this.#pairs.filter(pair => pair === first || pair[0] !== text(name));
    } else {
      this.#pairs.push([text(name), text(value)]);
    }
    this.#report();
  }

  sort() {
    this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    this.#report();
  }

  forEach(callback, self) {
    for (const [name, value] of this.#pairs) callback.call(self, value, name, this);
  }

  *entries() {
    for (const [name, value] of this.#pairs) yield [name, value];
  }

  *keys() {
    for (const [name] of this.#pairs) yield name;
  }

  *values() {
    for (const [, value] of this.#pairs) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toString() {
    return native.writeQuery(this.#pairs.flat());
  }

  #report() {
    if (this[changed]) this[changed](this.toString());
  }

  #read(query) {
    const flat = native.parseQuery(query.startsWith('?') ? query.slice(1) : query);
    this.#pairs = [];
    for (let i = 0; i < flat.length; i += 2) this.#pairs.push([flat[i], flat[i + 1]]);
  }

  static read(parameters, query) {
    parameters.#read(query);
  }
}

class URL {
  #parts;
  #parameters;

  constructor(input, base) {
    const parts = native.parseUrl(text(input), base === undefined ? undefined : text(base));
    if (!parts) {
      const error = new TypeError('Invalid URL');
      throw Object.assign(error, { code: 'ERR_INVALID_URL', input: String(input) });
    }
    this.#parts = parts;
  }

  static canParse(input, base) {
    return Boolean(native.parseUrl(text(input), base === undefined ? undefined : text(base)));
  }

  get searchParams() {
    if (!this.#parameters) {
      this.#parameters = new URLSearchParams(this.search);
      this.#parameters[changed] = query => {
        this.#parts = native.changeUrl(this.href, 'search', query) || this.#parts;
      };
    }
    return this.#parameters;
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }

  static part(url, position) {
    return url.#parts[position];
  }

  static change(url, part, value) {
    const parts = native.changeUrl(url.href, part, text(value));
    if (!parts && part === 'href') throw Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL' });
    url.#parts = parts || url.#parts;
    if (url.#parameters) readQuery(url.#parameters, url.search);
  }
}

const { part, change } = URL;
const readQuery = URLSearchParams.read;
delete URL.part;
delete URL.change;
delete URLSearchParams.read;
PARTS.forEach((name, position) => {
  Object.defineProperty(URL.prototype, name, {
    configurable: true,
    enumerable: true,
    get() {
      return part(this, position);
    },
    set: name === 'origin' ? undefined : function (value) {
      change(this, name, value);
    },
  });
});

module.exports = { URL, URLSearchParams };
