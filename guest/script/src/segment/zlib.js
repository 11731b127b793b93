// Compression, with the functions of the module zlib of Node.js.
'use strict';

const { Buffer } = require('./buffer');
const { bytesOf } = require('./text');

const bytes = data => new Uint8Array(typeof data === 'string' ? Buffer.from(data) : bytesOf(data));
const GZIP_START = 0x1f;

const synchronous = {
  deflate: data => native.compress('zlib', bytes(data)),
  deflateRaw: data => native.compress('raw', bytes(data)),
  gzip: data => native.compress('gzip', bytes(data)),
  inflate: data => native.decompress('zlib', bytes(data)),
  inflateRaw: data => native.decompress('raw', bytes(data)),
  gunzip: data => native.decompress('gzip', bytes(data)),
  unzip: data => native.decompress(bytes(data)[0] === GZIP_START ? 'gzip' : 'zlib', bytes(data)),
};

for (const name of Object.keys(synchronous)) {
  const compute = data => Buffer.from(synchronous[name](data));
  module.exports[`${name}Sync`] = compute;
  // The result goes to a callback, or to a promise if there is none.
  module.exports[name] = (data, ...rest) => {
    const callback = rest.find(parameter => typeof parameter === 'function');
    const promise = (async () => compute(data))();
    if (!callback) return promise;
    promise.then(result => callback(null, result), error => callback(error));
    return undefined;
  };
}
