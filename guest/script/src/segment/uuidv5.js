// The package uuidv5: UUIDs that are computed from a name.
'use strict';

const { Buffer } = require('./buffer');

const NAMESPACES = {
  dns: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
  url: '6ba7b811-9dad-11d1-80b4-00c04fd430c8',
  oid: '6ba7b812-9dad-11d1-80b4-00c04fd430c8',
  x500: '6ba7b814-9dad-11d1-80b4-00c04fd430c8',
  null: '00000000-0000-0000-0000-000000000000',
};

function uuidv5(namespace, name, isBinary) {
  const given = String(NAMESPACES[namespace] || namespace);
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(given)) {
    throw new Error(`invalid namespace: expected dns, url, oid, x500, null or a UUID, found ${given}`);
  }
  const space = Buffer.from(given.replace(/-/g, ''), 'hex');
  const data = Buffer.concat([space, typeof name === 'string' ? Buffer.from(name) : name]);
  const id = Buffer.from(native.digest('sha1', new Uint8Array(data))).subarray(0, 16);
  id[6] = (id[6] & 0x0f) | 0x50;
  id[8] = (id[8] & 0x3f) | 0x80;
  if (isBinary) return id;
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

uuidv5.uuidv5 = uuidv5;
module.exports = uuidv5;
