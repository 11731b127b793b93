// Base64 and UTF-8: btoa, atob, TextEncoder, TextDecoder.
'use strict';

function bytesOf(data) {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return undefined;
}

// As the packages btoa and atob, which do not refuse any text.
function btoa(data) {
  const bytes = bytesOf(data) || new Uint8Array(native.decode(data.toString().toWellFormed(), 'latin1'));
  return native.encode(bytes, 'base64');
}

function atob(text) {
  return native.encode(new Uint8Array(native.decode(String(text), 'base64')), 'latin1');
}

class TextEncoder {
  get encoding() {
    return 'utf-8';
  }

  encode(text = '') {
    return new Uint8Array(native.decode(String(text).toWellFormed(), 'utf8'));
  }
}

const LABELS = {
  'utf-8': 'utf8', 'utf8': 'utf8', 'latin1': 'latin1', 'iso-8859-1': 'latin1', 'ascii': 'latin1',
  'utf-16le': 'utf16le', 'utf-16': 'utf16le',
};

class TextDecoder {
  #encoding;
  #isFatal;

  constructor(label = 'utf-8', options = {}) {
    const encoding = LABELS[String(label).toLowerCase()];
    if (!encoding) throw new RangeError(`The "${label}" encoding is not supported`);
    this.#encoding = encoding;
    this.#isFatal = Boolean(options.fatal);
  }

  get encoding() {
    return this.#encoding === 'utf8' ? 'utf-8' : this.#encoding;
  }

  decode(data = new Uint8Array(0)) {
    const bytes = bytesOf(data);
    if (!bytes) throw new TypeError('The "list" argument must be an instance of ArrayBuffer or ArrayBufferView.');
    const text = native.encode(bytes, this.#encoding);
    if (this.#isFatal && this.#encoding === 'utf8' && native.decode(text, 'utf8').byteLength !== bytes.length) {
      throw new TypeError('The encoded data was not valid for encoding utf-8');
    }
    return text.startsWith('\uFEFF') ? text.slice(1) : text;
  }
}

module.exports = { TextDecoder, TextEncoder, atob, btoa, bytesOf };
