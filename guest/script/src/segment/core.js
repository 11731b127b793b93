// The global variables of Segment's functions. This code runs in each context, so it defines only
// what costs little: errors, the console, and getters for the rest.
'use strict';

const global = globalThis;

function define(name, value) {
  Object.defineProperty(global, name, { value, writable: true, configurable: true, enumerable: false });
}

// Modules of CommonJS. A package is known by the file that it starts with.

const PACKAGES = {
  'libphonenumber-js': 'libphonenumber-js/bundle/libphonenumber-min',
  'lodash': 'lodash/lodash.min',
  'moment': 'moment/min/moment.min',
  'moment-timezone': 'moment-timezone/builds/moment-timezone-with-data-1970-2030.min',
  'sax': 'sax/lib/sax',
  'xml': 'xml/lib/xml',
  'xml2js': 'xml2js/lib/xml2js',
  'xmlbuilder': 'xmlbuilder/lib/index',
};

// What libraries expect of Node.js. Functions have no such variable.
const PROCESS = { nextTick: (callback, ...values) => setTimeout(callback, 0, ...values) };

const loaded = new Map();

function load(name) {
  const known = loaded.get(name);
  if (known) return known.exports;
  const run = native.compile(name);
  const module = { exports: {} };
  loaded.set(name, module);
  const require = request => {
    const found = native.resolve(name, PACKAGES[request] || request);
    if (found === undefined) throw new Error(`Cannot find module '${request}'`);
    return load(found);
  };
  run.call(module.exports, module.exports, require, module, native, PROCESS);
  return module.exports;
}

// The packages of others are large, so all contexts share what the first one has loaded. Segment's
// functions share them with the program around them too.
function loadPackage(name) {
  const shared = native.sharedPackage(name);
  if (shared !== undefined) return shared;
  const exports = load(PACKAGES[name]);
  native.sharePackage(name, exports);
  return exports;
}

// Defines a global variable whose value is created when it is read for the first time. A function
// can assign another value to it.
function defineLazily(name, create) {
  Object.defineProperty(global, name, {
    configurable: true,
    enumerable: false,
    get() {
      const value = create();
      define(name, value);
      return value;
    },
    set(value) {
      define(name, value);
    },
  });
}

const LAZY = {
  Buffer: () => load('buffer').Buffer,
  TextDecoder: () => load('text').TextDecoder,
  TextEncoder: () => load('text').TextEncoder,
  atob: () => load('text').atob,
  btoa: () => load('text').btoa,
  URL: () => load('url').URL,
  URLSearchParams: () => load('url').URLSearchParams,
  FormData: () => load('form_data').FormData,
  Headers: () => load('fetch').Headers,
  Request: () => load('fetch').Request,
  Response: () => load('fetch').Response,
  clearImmediate: () => clearTimeout,
  fetch: () => load('fetch').fetch,
  setImmediate: () => load('timers').setImmediate,
  structuredClone: () => load('clone').structuredClone,
  Segment: () => load('source').Segment,
  cache: () => load('cache').cache,
  crypto: () => load('crypto'),
  jsonwebtoken: () => load('jsonwebtoken'),
  uuidv5: () => load('uuidv5'),
  zlib: () => ({ zlib: load('zlib') }),
  _: () => loadPackage('lodash'),
  libphonenumberjslib: () => ({ libphonenumberjs: loadPackage('libphonenumber-js') }),
  moment: () => loadPackage('moment-timezone'),
  xml: () => loadPackage('xml'),
  xml2js: () => loadPackage('xml2js'),
};
for (const name of Object.keys(LAZY)) defineLazily(name, LAZY[name]);

// What Segment has and this program has not. It fails when a function uses it, not when it names it.

const UNAVAILABLE = {
  AWS: 'call the API with fetch',
  Intl: 'use moment for dates and times in time zones',
  OAuth: 'sign requests with crypto.createHmac',
  fetchretrylib: 'call fetch in a loop, or throw RetryError',
  google: 'call the API with fetch',
  https: 'use fetch',
  hubspotlib: 'call the API with fetch',
  jsforce: 'call the API with fetch',
  mailchimplib: 'call the API with fetch',
  nodemailjet: 'call the API with fetch',
  sendgrid: 'call the API with fetch',
  skyflowlib: 'call the API with fetch',
  stripe: 'call the API with fetch',
  twilio: 'call the API with fetch',
  winstonlib: 'use console',
  setInterval: 'call setTimeout in the function that it calls',
};

function unavailable(name, advice) {
  const fail = () => {
    throw new Error(`${name} is not available in this program: ${advice}`);
  };
  const get = (target, member) => (typeof member === 'symbol' ? undefined : fail());
  return new Proxy(function () {}, { get, set: fail, apply: fail, construct: fail });
}

for (const name of Object.keys(UNAVAILABLE)) {
  defineLazily(name, () => unavailable(name, UNAVAILABLE[name]));
}

// Errors.

for (const name of ['EventNotSupported', 'InvalidEventPayload', 'ValidationError', 'RetryError', 'DropEvent']) {
  const errors = {
    [name]: class extends Error {
      constructor(message) {
        super(message);
        this.name = name;
      }
    },
  };
  define(name, errors[name]);
}

// The console. A line has at most 4 KiB, as in Segment's logs.

const CONSOLE_LINE_CHARACTERS_MAX = 4096;

function printer(isError) {
  return (...values) => {
    let line = load('inspect').format(values);
    if (line.length > CONSOLE_LINE_CHARACTERS_MAX) line = `${line.slice(0, CONSOLE_LINE_CHARACTERS_MAX)}…`;
    native.print(isError, line.toWellFormed());
  };
}

const printLine = printer(false);
const printError = printer(true);
define('console', {
  log: printLine,
  info: printLine,
  debug: printLine,
  dir: value => printLine(value),
  warn: printError,
  error: printError,
  trace: printError,
  assert(condition, ...values) {
    if (!condition) printError('Assertion failed:', ...values);
  },
});

// Texts for people. Without Intl, only those of American English without options are known; others
// must not come out in another form than the function expects.

function checkLocale(method, locales, options) {
  const isKnown = locales === undefined || locales === 'en-US' || locales === 'en';
  const hasOptions = options !== undefined && Object.keys(options).length > 0;
  if (!isKnown || hasOptions) {
    const advice = 'use moment, toFixed or a replacement of your own';
    throw new Error(`${method} with a locale or options needs Intl, which is not available in this program: ${advice}`);
  }
}

const twoDigits = number => String(number).padStart(2, '0');

function dateText(date) {
  return `${date.getMonth() + 1}/${date.getDate()}/${date.getFullYear()}`;
}

function timeText(date) {
  const hours = date.getHours();
  const half = hours < 12 ? 'AM' : 'PM';
  return `${hours % 12 || 12}:${twoDigits(date.getMinutes())}:${twoDigits(date.getSeconds())} ${half}`;
}

function defineLocaleText(prototype, method, write) {
  const name = `${prototype.constructor.name}.prototype.${method}`;
  const value = function (locales, options) {
    checkLocale(name, locales, options);
    return write(this);
  };
  Object.defineProperty(prototype, method, { value, writable: true, configurable: true, enumerable: false });
}

const ifValid = write => date => (Number.isNaN(date.getTime()) ? 'Invalid Date' : write(date));
defineLocaleText(Date.prototype, 'toLocaleDateString', ifValid(dateText));
defineLocaleText(Date.prototype, 'toLocaleTimeString', ifValid(timeText));
defineLocaleText(Date.prototype, 'toLocaleString', ifValid(date => `${dateText(date)}, ${timeText(date)}`));
defineLocaleText(Number.prototype, 'toLocaleString', number => {
  const value = Number(number);
  if (!Number.isFinite(value)) return String(value).replace('Infinity', '∞');
  const plain = Math.abs(value) < 1e21 ? String(Number(value.toFixed(3))) : String(BigInt(value));
  const [whole, fraction] = plain.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction ? `${grouped}.${fraction}` : grouped;
});

// What Rust calls.

return {
  // Loads the values of global variables before they are used.
  prepare(names) {
    for (const name of names) void global[name];
  },
  createRequest: (url, headers, body) => new (load('source').ServerRequest)(url, headers, body),
  takeEvents: () => load('source').takeEvents(),
};
