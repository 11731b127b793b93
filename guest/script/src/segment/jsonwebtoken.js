// The package jsonwebtoken with the algorithms that have a shared secret: HS256, HS384, HS512.
'use strict';

const { Buffer } = require('./buffer');
const { createHmac, timingSafeEqual } = require('./crypto');

const DIGESTS = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' };

class JsonWebTokenError extends Error {
  constructor(message) {
    super(message);
    this.name = 'JsonWebTokenError';
  }
}

class TokenExpiredError extends JsonWebTokenError {
  constructor(message, expiredAt) {
    super(message);
    this.name = 'TokenExpiredError';
    this.expiredAt = expiredAt;
  }
}

class NotBeforeError extends JsonWebTokenError {
  constructor(message, date) {
    super(message);
    this.name = 'NotBeforeError';
    this.date = date;
  }
}

const UNITS = { ms: 0.001, s: 1, sec: 1, m: 60, min: 60, h: 3600, hour: 3600, d: 86400, day: 86400, w: 604800, week: 604800, y: 31557600, year: 31557600 };

// The seconds of a number, or of a text such as '2h'. A text without a unit is in milliseconds.
function seconds(name, span) {
  if (typeof span === 'number' && Number.isFinite(span)) return span;
  const match = /^\s*(-?\d*\.?\d+)\s*([a-z]*)\s*$/i.exec(String(span));
  const unit = match && (UNITS[match[2].toLowerCase()] || UNITS[match[2].toLowerCase().replace(/s$/, '')]);
  if (match && match[2] === '') return Number(match[1]) * UNITS.ms;
  if (!unit) throw new Error(`"${name}" should be a number of seconds or string representing a timespan`);
  return Number(match[1]) * unit;
}

const encodePart = value => Buffer.from(value).toString('base64url');
const decodePart = part => JSON.parse(Buffer.from(part, 'base64url').toString());
const now = () => Math.floor(Date.now() / 1000);

function signature(algorithm, input, secret) {
  const digest = DIGESTS[algorithm];
  if (!digest) {
    throw new Error(`jsonwebtoken: the algorithm ${algorithm} is not available in this program: use ${Object.keys(DIGESTS).join(', ')}`);
  }
  return createHmac(digest, secret).update(input).digest('base64url');
}

// Passes the result of a function to a callback, if there is one.
function answer(callback, compute) {
  if (typeof callback !== 'function') return compute();
  let results;
  try {
    results = [null, compute()];
  } catch (error) {
    results = [error];
  }
  setTimeout(callback, 0, ...results);
  return undefined;
}

const CLAIMS = { audience: 'aud', issuer: 'iss', subject: 'sub', jwtid: 'jti' };

function createToken(payload, secret, options) {
  if (!secret) throw new Error('secretOrPrivateKey must have a value');
  const algorithm = options.algorithm || 'HS256';
  const isObject = payload !== null && typeof payload === 'object' && !Buffer.isBuffer(payload);
  const header = { alg: algorithm, ...(isObject ? { typ: 'JWT' } : {}), ...options.header };
  if (options.keyid) header.kid = options.keyid;
  let text = payload;
  if (isObject) {
    const claims = { ...payload };
    const issued = claims.iat === undefined ? now() : claims.iat;
    if (options.noTimestamp) delete claims.iat;
    else claims.iat = issued;
    if (options.notBefore !== undefined) claims.nbf = Math.floor(issued + seconds('notBefore', options.notBefore));
    if (options.expiresIn !== undefined) {
      if (claims.exp !== undefined) throw new Error('Bad "options.expiresIn" option the payload already has an "exp" property.');
      claims.exp = Math.floor(issued + seconds('expiresIn', options.expiresIn));
    }
    for (const [option, claim] of Object.entries(CLAIMS)) {
      if (options[option] === undefined) continue;
      if (claims[claim] !== undefined) {
        throw new Error(`Bad "options.${option}" option. The payload already has an "${claim}" property.`);
      }
      claims[claim] = options[option];
    }
    text = JSON.stringify(claims);
  }
  const input = `${encodePart(JSON.stringify(header))}.${encodePart(text)}`;
  return `${input}.${signature(algorithm, input, secret)}`;
}

function sign(payload, secret, options, callback) {
  if (typeof options === 'function') return sign(payload, secret, {}, options);
  return answer(callback, () => createToken(payload, secret, options || {}));
}

function decode(token, options = {}) {
  const parts = String(token).split('.');
  if (parts.length !== 3) return null;
  try {
    const header = decodePart(parts[0]);
    let payload = Buffer.from(parts[1], 'base64url').toString();
    if (header.typ === 'JWT' || options.json) payload = JSON.parse(payload);
    return options.complete ? { header, payload, signature: parts[2] } : payload;
  } catch {
    return null;
  }
}

const isOneOf = (value, expected) =>
  [].concat(expected).some(wanted => (wanted instanceof RegExp ? wanted.test(value) : wanted === value));

function check(token, secret, options) {
  if (!token) throw new JsonWebTokenError('jwt must be provided');
  if (typeof token !== 'string') throw new JsonWebTokenError('jwt must be a string');
  const parts = token.split('.');
  if (parts.length !== 3) throw new JsonWebTokenError('jwt malformed');
  const decoded = decode(token, { complete: true });
  if (!decoded) throw new JsonWebTokenError('invalid token');
  const { header, payload } = decoded;
  if (!parts[2]) throw new JsonWebTokenError('jwt signature is required');
  if (!secret) throw new JsonWebTokenError('secret or public key must be provided');
  const algorithms = options.algorithms || Object.keys(DIGESTS);
  if (!algorithms.includes(header.alg)) throw new JsonWebTokenError('invalid algorithm');
  const expected = Buffer.from(signature(header.alg, `${parts[0]}.${parts[1]}`, secret));
  const found = Buffer.from(parts[2]);
  if (expected.length !== found.length || !timingSafeEqual(expected, found)) {
    throw new JsonWebTokenError('invalid signature');
  }
  const time = options.clockTimestamp || now();
  const tolerance = options.clockTolerance || 0;
  if (payload.nbf !== undefined && !options.ignoreNotBefore && payload.nbf > time + tolerance) {
    throw new NotBeforeError('jwt not active', new Date(payload.nbf * 1000));
  }
  if (payload.exp !== undefined && !options.ignoreExpiration && time >= payload.exp + tolerance) {
    throw new TokenExpiredError('jwt expired', new Date(payload.exp * 1000));
  }
  if (options.maxAge !== undefined) {
    if (typeof payload.iat !== 'number') throw new JsonWebTokenError('iat required when maxAge is specified');
    const limit = payload.iat + seconds('maxAge', options.maxAge);
    if (time >= limit + tolerance) throw new TokenExpiredError('maxAge exceeded', new Date(limit * 1000));
  }
  if (options.audience && ![].concat(payload.aud).some(audience => isOneOf(audience, options.audience))) {
    throw new JsonWebTokenError(`jwt audience invalid. expected: ${[].concat(options.audience).join(' or ')}`);
  }
  for (const [option, claim] of [['issuer', 'iss'], ['subject', 'sub'], ['jwtid', 'jti']]) {
    if (options[option] && !isOneOf(payload[claim], options[option])) {
      throw new JsonWebTokenError(`jwt ${option} invalid. expected: ${options[option]}`);
    }
  }
  return options.complete ? decoded : payload;
}

function verify(token, secret, options, callback) {
  if (typeof options === 'function') return verify(token, secret, {}, options);
  return answer(callback, () => check(token, secret, options || {}));
}

module.exports = { JsonWebTokenError, NotBeforeError, TokenExpiredError, decode, sign, verify };
