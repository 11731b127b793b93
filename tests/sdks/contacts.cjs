// Preloaded into Node.js: a line `contacted: HOST` on standard error for each host that
// is connected to. Only this machine can be reached.

const { Socket } = require("node:net");

const connect = Socket.prototype.connect;
Socket.prototype.connect = function (...args) {
  // Node's own modules hand on the arguments of others in one array.
  const [options, second] = Array.isArray(args[0]) ? args[0] : args;
  const named = typeof options === "object" ? options.host : second;
  const host = typeof named === "string" ? named : "localhost";
  console.error(`contacted: ${host}`);
  if (["127.0.0.1", "localhost"].includes(host)) return connect.apply(this, args);
  process.nextTick(() => this.destroy(new Error(`${host} cannot be reached`)));
  return this;
};
