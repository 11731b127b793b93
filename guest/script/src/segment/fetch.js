// fetch with its classes, as the package node-fetch 2 gives them.
'use strict';

const { Buffer } = require('./buffer');
const { URL, URLSearchParams } = require('./url');
const { bytesOf } = require('./text');

const USER_AGENT = 'node-fetch/1.0 (+https://github.com/bitinn/node-fetch)';

// The texts of statuses, which HTTP/2 does not transfer.
const STATUS_TEXTS = {
  100: 'Continue', 101: 'Switching Protocols', 200: 'OK', 201: 'Created', 202: 'Accepted',
  203: 'Non-Authoritative Information', 204: 'No Content', 205: 'Reset Content', 206: 'Partial Content',
  207: 'Multi-Status', 300: 'Multiple Choices', 301: 'Moved Permanently', 302: 'Found', 303: 'See Other',
  304: 'Not Modified', 307: 'Temporary Redirect', 308: 'Permanent Redirect', 400: 'Bad Request',
  401: 'Unauthorized', 402: 'Payment Required', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed',
  406: 'Not Acceptable', 407: 'Proxy Authentication Required', 408: 'Request Timeout', 409: 'Conflict', 410: 'Gone',
  411: 'Length Required', 412: 'Precondition Failed', 413: 'Payload Too Large', 414: 'URI Too Long',
  415: 'Unsupported Media Type', 416: 'Range Not Satisfiable', 417: 'Expectation Failed', 418: "I'm a Teapot",
  421: 'Misdirected Request', 422: 'Unprocessable Entity', 423: 'Locked', 424: 'Failed Dependency', 425: 'Too Early',
  426: 'Upgrade Required', 428: 'Precondition Required', 429: 'Too Many Requests',
  431: 'Request Header Fields Too Large', 451: 'Unavailable For Legal Reasons', 500: 'Internal Server Error',
  501: 'Not Implemented', 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported', 511: 'Network Authentication Required',
};

class FetchError extends Error {
  constructor(message, type) {
    super(message);
    this.type = type;
  }

  get name() {
    return 'FetchError';
  }
}

function headerName(name) {
  const text = String(name);
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)) throw new TypeError(`${text} is not a legal HTTP header name`);
  return text;
}

function headerValue(value) {
  const text = String(value);
  if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) throw new TypeError(`${text} is not a legal HTTP header value`);
  return text.trim();
}

class Headers {
  // By the names in small letters: the names as given, and the values.
  #members = new Map();

  constructor(init) {
    if (init === undefined || init === null) return;
    if (typeof init !== 'object') throw new TypeError('Provided initializer must be an object');
    if (init instanceof Headers) {
      for (const [name, values] of Object.entries(init.raw())) values.forEach(value => this.append(name, value));
    } else if (typeof init[Symbol.iterator] === 'function') {
      for (const pair of init) {
        const elements = Array.from(pair);
        if (elements.length !== 2) throw new TypeError('Each header pair must be a name/value tuple');
        this.append(elements[0], elements[1]);
      }
    } else {
      for (const name of Object.keys(init)) this.append(name, init[name]);
    }
  }

  append(name, value) {
    const key = headerName(name).toLowerCase();
    const member = this.#members.get(key);
    if (member) member.values.push(headerValue(value));
    else this.#members.set(key, { name: String(name), values: [headerValue(value)] });
  }

  delete(name) {
    this.#members.delete(headerName(name).toLowerCase());
  }

  get(name) {
    const member = this.#members.get(headerName(name).toLowerCase());
    return member ? member.values.join(', ') : null;
  }

  has(name) {
    return this.#members.has(headerName(name).toLowerCase());
  }

  set(name, value) {
    this.#members.set(headerName(name).toLowerCase(), { name: String(name), values: [headerValue(value)] });
  }

  raw() {
    const object = {};
    for (const { name, values } of this.#members.values()) object[name] = [...values];
    return object;
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    for (const name of [...this.#members.keys()].sort()) yield [name, this.get(name)];
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

// The bytes of a body and the type that it implies.
function readBody(body) {
  if (body === undefined || body === null) return { bytes: null, type: null };
  if (typeof body === 'string') return { bytes: Buffer.from(body), type: 'text/plain;charset=UTF-8' };
  if (body instanceof URLSearchParams) {
    return { bytes: Buffer.from(body.toString()), type: 'application/x-www-form-urlencoded;charset=UTF-8' };
  }
  const bytes = bytesOf(body);
  if (bytes) return { bytes: Buffer.from(bytes), type: null };
  if (typeof body.getBuffer === 'function' && typeof body.getBoundary === 'function') {
    return { bytes: body.getBuffer(), type: `multipart/form-data;boundary=${body.getBoundary()}` };
  }
  return { bytes: Buffer.from(String(body)), type: 'text/plain;charset=UTF-8' };
}

class Body {
  #bytes;
  #isUsed = false;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  get body() {
    return this.#bytes;
  }

  get bodyUsed() {
    return this.#isUsed;
  }

  async buffer() {
    if (this.#isUsed) throw new TypeError(`body used already for: ${shownUrl(this.url)}`);
    this.#isUsed = true;
    return this.#bytes || Buffer.alloc(0);
  }

  async arrayBuffer() {
    const bytes = await this.buffer();
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }

  async text() {
    return (await this.buffer()).toString();
  }

  async json() {
    const text = await this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new FetchError(`invalid json response body at ${shownUrl(this.url)} reason: ${error.message}`, 'invalid-json');
    }
  }

  async blob() {
    throw new Error('blob() is not available in this program: use buffer() or arrayBuffer()');
  }

  unusedBytes() {
    if (this.#isUsed) throw new Error('cannot clone body after it is used');
    return this.#bytes;
  }
}

// Errors become dead letters, and a query or a user can be a secret.
function shownUrl(address) {
  if (!address) return address;
  const { protocol, host, pathname } = new URL(address);
  return `${protocol}//${host}${pathname}`;
}

function absoluteUrl(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    throw new TypeError('Only absolute URLs are supported');
  }
  if (!/^https?:$/.test(url.protocol)) throw new TypeError('Only HTTP(S) protocols are supported');
  return url.href;
}

class Request extends Body {
  #url;
  #method;
  #headers;
  #redirect;
  #timeout;

  constructor(input, init = {}) {
    const isRequest = input instanceof Request;
    const address = isRequest ? input.url : input && input.href ? input.href : `${input}`;
    const method = String(init.method || (isRequest ? input.method : 'GET')).toUpperCase();
    const hasBody = init.body !== undefined && init.body !== null;
    const given = hasBody ? readBody(init.body) : { bytes: isRequest ? input.unusedBytes() : null, type: null };
    if (given.bytes && (method === 'GET' || method === 'HEAD')) {
      throw new TypeError('Request with GET/HEAD method cannot have body');
    }
    const url = absoluteUrl(address);
    super(given.bytes);
    this.#url = url;
    this.#redirect = init.redirect || (isRequest ? input.redirect : 'follow');
    this.#timeout = init.timeout || (isRequest ? input.timeout : 0);
    this.#method = method;
    this.#headers = new Headers(init.headers || (isRequest ? input.headers : {}));
    if (given.type && !this.#headers.has('Content-Type')) this.#headers.append('Content-Type', given.type);
  }

  get url() {
    return this.#url;
  }

  get method() {
    return this.#method;
  }

  get headers() {
    return this.#headers;
  }

  get redirect() {
    return this.#redirect;
  }

  // In milliseconds; 0 is the limit of the settings.
  get timeout() {
    return this.#timeout;
  }

  clone() {
    return new Request(this);
  }
}

class Response extends Body {
  #url;
  #status;
  #statusText;
  #headers;
  #isRedirected;

  constructor(body, init = {}) {
    const { bytes, type } = readBody(body);
    super(bytes);
    this.#url = init.url || '';
    this.#status = init.status === undefined ? 200 : init.status;
    this.#statusText = init.statusText === undefined ? STATUS_TEXTS[this.#status] || '' : init.statusText;
    this.#headers = new Headers(init.headers);
    this.#isRedirected = Boolean(init.isRedirected);
    if (type && !this.#headers.has('Content-Type')) this.#headers.append('Content-Type', type);
  }

  get url() {
    return this.#url;
  }

  get status() {
    return this.#status;
  }

  get ok() {
    return this.#status >= 200 && this.#status < 300;
  }

  get redirected() {
    return this.#isRedirected;
  }

  get statusText() {
    return this.#statusText;
  }

  get headers() {
    return this.#headers;
  }

  clone() {
    const { url, status, statusText, headers, redirected } = this;
    return new Response(this.unusedBytes(), { url, status, statusText, headers, isRedirected: redirected });
  }
}

// The names and values of the headers, in turn.
function sentHeaders({ headers }) {
  const flat = [];
  const members = headers.raw();
  for (const name of Object.keys(members)) members[name].forEach(value => flat.push(name, value));
  if (!headers.has('Accept')) flat.push('Accept', '*/*');
  if (!headers.has('User-Agent')) flat.push('User-Agent', USER_AGENT);
  return flat;
}

async function fetch(input, init) {
  const request = new Request(input, init);
  const body = new Uint8Array(await request.buffer());
  const { method, url: address, redirect, timeout } = request;
  let response;
  try {
    response = await native.send(method, address, sentHeaders(request), body, redirect, Math.ceil(timeout));
  } catch (error) {
    throw new FetchError(`request to ${shownUrl(request.url)} failed, reason: ${error.message}`, 'system');
  }
  const [url, status, flat, bytes] = response;
  const headers = new Headers();
  for (let i = 0; i < flat.length; i += 2) {
    try {
      headers.append(flat[i], flat[i + 1]);
    } catch {
      // A header that is not legal is left out, as node-fetch does.
    }
  }
  return new Response(bytes, { url, status, headers, isRedirected: url !== request.url });
}

fetch.default = fetch;
fetch.Headers = Headers;
fetch.Request = Request;
fetch.Response = Response;
fetch.FetchError = FetchError;

module.exports = { FetchError, Headers, Request, Response, fetch };
