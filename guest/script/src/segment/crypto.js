// What functions use most of the module crypto of Node.js.
'use strict';

const { Buffer } = require('./buffer');
const { bytesOf } = require('./text');

function bytes(name, data, encoding) {
  if (typeof data === 'string') return Buffer.from(data, encoding || 'utf8');
  const found = bytesOf(data);
  if (found) return Buffer.from(found);
  const received = data === null || data === undefined ? String(data) : `type ${typeof data}`;
  const message = `The "${name}" argument must be of type string or an instance of Buffer, TypedArray, or DataView. Received ${received}`;
  throw Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' });
}

const plain = buffer => new Uint8Array(buffer);

class Hash {
  #compute;
  #parts;

  constructor(compute, parts = []) {
    this.#compute = compute;
    this.#parts = parts;
  }

  update(data, encoding) {
    this.#check();
    this.#parts.push(bytes('data', data, encoding));
    return this;
  }

  digest(encoding) {
    this.#check();
    const result = Buffer.from(this.#compute(plain(Buffer.concat(this.#parts))));
    this.#parts = null;
    return encoding && encoding !== 'buffer' ? result.toString(encoding) : result;
  }

  copy() {
    this.#check();
    return new Hash(this.#compute, [...this.#parts]);
  }

  #check() {
    if (!this.#parts) throw Object.assign(new Error('Digest already called'), { code: 'ERR_CRYPTO_HASH_FINALIZED' });
  }
}

function createHash(algorithm) {
  native.digest(algorithm, new Uint8Array(0));
  return new Hash(data => native.digest(algorithm, data));
}

function createHmac(algorithm, key) {
  const secret = plain(bytes('key', key));
  native.hmac(algorithm, secret, new Uint8Array(0));
  return new Hash(data => native.hmac(algorithm, secret, data));
}

function randomBytes(size, callback) {
  const buffer = Buffer.from(native.random(Number(size)));
  if (typeof callback !== 'function') return buffer;
  setTimeout(callback, 0, null, buffer);
  return undefined;
}

function randomUUID() {
  const buffer = randomBytes(16);
  buffer[6] = (buffer[6] & 0x0f) | 0x40;
  buffer[8] = (buffer[8] & 0x3f) | 0x80;
  return buffer.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function randomInt(min, max) {
  const [low, high] = max === undefined ? [0, min] : [min, max];
  const range = high - low;
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || range <= 0 || range > 2 ** 48) {
    throw new RangeError('The value of "max" is out of range.');
  }
  // Numbers beyond the last multiple of the range would make small results more frequent.
  for (;;) {
    const number = randomBytes(6).reduce((sum, byte) => sum * 256 + byte, 0);
    if (number < 2 ** 48 - (2 ** 48 % range)) return low + (number % range);
  }
}

function getRandomValues(array) {
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(randomBytes(array.byteLength));
  return array;
}

function timingSafeEqual(a, b) {
  const [left, right] = [bytes('buf1', a), bytes('buf2', b)];
  if (left.length !== right.length) throw new RangeError('Input buffers must have the same byte length');
  return left.reduce((difference, byte, i) => difference | (byte ^ right[i]), 0) === 0;
}

function getHashes() {
  return ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'];
}

const available = {
  createHash, createHmac, getHashes, getRandomValues, randomBytes, randomInt, randomUUID, timingSafeEqual,
};

const UNAVAILABLE = ['createCipheriv', 'createDecipheriv', 'createDiffieHellman', 'createECDH', 'createPrivateKey',
  'createPublicKey', 'createSign', 'createVerify', 'generateKeyPair', 'generateKeyPairSync', 'pbkdf2', 'pbkdf2Sync',
  'privateDecrypt', 'privateEncrypt', 'publicDecrypt', 'publicEncrypt', 'scrypt', 'scryptSync', 'sign', 'verify'];
for (const name of UNAVAILABLE) {
  available[name] = () => {
    throw new Error(`crypto.${name} is not available in this program: crypto has ${Object.keys(available).filter(other => !UNAVAILABLE.includes(other)).join(', ')}`);
  };
}

module.exports = available;
