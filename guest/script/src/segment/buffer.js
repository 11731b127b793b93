// Buffer, as in Node.js: a Uint8Array that knows text encodings.
'use strict';

const { bytesOf } = require('./text');

function create(...parameters) {
  return Reflect.construct(Uint8Array, parameters, Buffer);
}

// An old form of Buffer.from and Buffer.alloc, and what the methods of Uint8Array call.
function Buffer(value, encodingOrOffset, length) {
  if (typeof value === 'number') return create(value);
  return Buffer.from(value, encodingOrOffset, length);
}

Object.setPrototypeOf(Buffer, Uint8Array);
Buffer.prototype = Object.create(Uint8Array.prototype, {
  constructor: { value: Buffer, writable: true, configurable: true },
});

function received(value) {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'object') return `an instance of ${value.constructor ? value.constructor.name : 'Object'}`;
  return `type ${typeof value} (${String(value)})`;
}

// Static functions of Buffer that can be called with new, as in Node.js.
Buffer.from = function from(value, encodingOrOffset, length) {
  if (typeof value === 'string') return create(native.decode(value.toWellFormed(), encodingOrOffset || 'utf8'));
  if (value instanceof ArrayBuffer) return create(value, encodingOrOffset, length);
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return create(value);
  if (value !== null && typeof value === 'object') {
    if (value.type === 'Buffer' && Array.isArray(value.data)) return create(value.data);
    const primitive = value.valueOf();
    if (primitive !== value && primitive !== null && primitive !== undefined) {
      return Buffer.from(primitive, encodingOrOffset, length);
    }
    if (typeof value.length === 'number') return create(Array.from(value));
  }
  throw new TypeError(
    'The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an ' +
      `Array-like Object. Received ${received(value)}`);
};

Buffer.alloc = function alloc(size, fill, encoding) {
  const buffer = create(size);
  return fill === undefined ? buffer : buffer.fill(fill, encoding);
};
Buffer.allocUnsafe = size => create(size);
Buffer.isBuffer = value => value instanceof Buffer;
Buffer.isEncoding = name => typeof name === 'string' && native.isEncoding(name);
Buffer.byteLength = (value, encoding) =>
  typeof value === 'string' ? Buffer.from(value, encoding).length : value.byteLength;
Buffer.concat = function concat(list, total) {
  const size = total === undefined ? list.reduce((sum, part) => sum + part.length, 0) : total;
  const buffer = create(size);
  let offset = 0;
  for (const part of list) {
    const taken = part.subarray(0, Math.max(0, size - offset));
    buffer.set(taken, offset);
    offset += taken.length;
  }
  return buffer;
};
Buffer.compare = function compare(a, b) {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return Math.sign(a.length - b.length);
};

const methods = {
  toString(encoding = 'utf8', start = 0, end = this.length) {
    return native.encode(new Uint8Array(this.buffer, this.byteOffset, this.length).subarray(start, end), encoding);
  },
  toJSON() {
    return { type: 'Buffer', data: Array.from(this) };
  },
  equals(other) {
    return Buffer.compare(this, other) === 0;
  },
  compare(other) {
    return Buffer.compare(this, other);
  },
  // Unlike that of Uint8Array, the slice shares the bytes.
  slice(start, end) {
    return this.subarray(start, end);
  },
  subarray(start, end) {
    const part = Uint8Array.prototype.subarray.call(new Uint8Array(this.buffer, this.byteOffset, this.length), start, end);
    return create(part.buffer, part.byteOffset, part.length);
  },
  copy(target, targetStart = 0, start = 0, end = this.length) {
    const part = this.subarray(start, Math.min(end, start + target.length - targetStart));
    target.set(part, targetStart);
    return part.length;
  },
  write(text, offset = 0, length, encoding) {
    if (typeof offset === 'string') [offset, length, encoding] = [0, undefined, offset];
    if (typeof length === 'string') [length, encoding] = [undefined, length];
    const bytes = Buffer.from(text, encoding);
    return bytes.copy(this, offset, 0, Math.min(bytes.length, length === undefined ? Infinity : length));
  },
  fill(value, start, end, encoding) {
    if (typeof start === 'string') [start, encoding] = [undefined, start];
    if (typeof value === 'number') return Uint8Array.prototype.fill.call(this, value, start, end);
    const bytes = typeof value === 'string' ? Buffer.from(value, encoding) : bytesOf(value);
    const from = start || 0;
    for (let i = from; i < (end === undefined ? this.length : end) && bytes.length; i++) {
      this[i] = bytes[(i - from) % bytes.length];
    }
    return this;
  },
  indexOf(value, start = 0, encoding) {
    if (typeof value === 'number') return Uint8Array.prototype.indexOf.call(this, value, start);
    const bytes = typeof value === 'string' ? Buffer.from(value, encoding) : bytesOf(value);
    for (let i = start; i + bytes.length <= this.length; i++) {
      if (bytes.every((byte, j) => this[i + j] === byte)) return i;
    }
    return -1;
  },
  includes(value, start, encoding) {
    return this.indexOf(value, start, encoding) !== -1;
  },
};

const view = buffer => new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
const NUMBERS = [['UInt8', 'Uint8', 1], ['Int8', 'Int8', 1], ['UInt16', 'Uint16', 2], ['Int16', 'Int16', 2],
  ['UInt32', 'Uint32', 4], ['Int32', 'Int32', 4], ['Float', 'Float32', 4], ['Double', 'Float64', 8]];
for (const [name, type, size] of NUMBERS) {
  for (const order of size === 1 ? [''] : ['LE', 'BE']) {
    methods[`read${name}${order}`] = function (offset = 0) {
      return view(this)[`get${type}`](offset, order === 'LE');
    };
    methods[`write${name}${order}`] = function (value, offset = 0) {
      view(this)[`set${type}`](offset, value, order === 'LE');
      return offset + size;
    };
  }
}
for (const name of Object.keys(methods)) {
  Object.defineProperty(Buffer.prototype, name, { value: methods[name], writable: true, configurable: true });
}

module.exports = { Buffer };
