// FormData, as the package form-data gives it: the parts of a multipart body.
'use strict';

const { Buffer } = require('./buffer');
const { bytesOf } = require('./text');

const LINE_BREAK = '\r\n';

class FormData {
  #boundary = `--------------------------${Array.from({ length: 24 }, () => Math.floor(Math.random() * 10)).join('')}`;
  #parts = [];

  append(name, value, options = {}) {
    const { filename, contentType, header } = typeof options === 'string' ? { filename: options } : options;
    if (Array.isArray(value)) throw new Error('Arrays are not supported.');
    const bytes = bytesOf(value) || Buffer.from(String(value));
    let head = `Content-Disposition: form-data; name="${name}"`;
    if (filename) head += `; filename="${filename}"`;
    const type = contentType || (filename || bytesOf(value) ? 'application/octet-stream' : undefined);
    if (type) head += `${LINE_BREAK}Content-Type: ${type}`;
    for (const key of Object.keys(header || {})) head += `${LINE_BREAK}${key}: ${header[key]}`;
    this.#parts.push([head, bytes]);
  }

  getBoundary() {
    return this.#boundary;
  }

  getHeaders(headers = {}) {
    return { ...headers, 'content-type': `multipart/form-data; boundary=${this.#boundary}` };
  }

  getBuffer() {
    const pieces = [];
    for (const [head, bytes] of this.#parts) {
      pieces.push(Buffer.from(`--${this.#boundary}${LINE_BREAK}${head}${LINE_BREAK}${LINE_BREAK}`));
      pieces.push(bytes, Buffer.from(LINE_BREAK));
    }
    pieces.push(Buffer.from(`--${this.#boundary}--${LINE_BREAK}`));
    return Buffer.concat(pieces);
  }

  getLengthSync() {
    return this.getBuffer().length;
  }

  hasKnownLength() {
    return true;
  }
}

module.exports = { FormData };
