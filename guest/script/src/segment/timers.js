// The module timers of Node.js, for the package xml2js.
'use strict';

module.exports = {
  setTimeout,
  clearTimeout,
  setImmediate: (callback, ...values) => setTimeout(callback, 0, ...values),
};
