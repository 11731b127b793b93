// The class Stream of Node.js, for the packages sax and xml, which need it only for streams.
'use strict';

class Stream {
  constructor() {
    throw new Error('streams are not available in this program: pass the whole text');
  }
}

module.exports = { Stream };
