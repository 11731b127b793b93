// What a function of Segment can use in Standpipe. Editors and `tsc` read this file; Standpipe does not.

/** Any value of JSON. */
type SegmentJson = any;

/** An event of Segment. Its members depend on the type and on the sender. */
interface SegmentEvent {
  type?: string;
  event?: string;
  name?: string;
  category?: string;
  messageId?: string;
  userId?: string;
  anonymousId?: string;
  groupId?: string;
  previousId?: string;
  channel?: string;
  originalTimestamp?: string;
  sentAt?: string;
  receivedAt?: string;
  timestamp?: string;
  properties?: { [name: string]: SegmentJson };
  traits?: { [name: string]: SegmentJson };
  context?: { traits?: { [name: string]: SegmentJson }; [name: string]: SegmentJson };
  integrations?: { [name: string]: SegmentJson };
  [name: string]: SegmentJson;
}

/** The table `[plugin.function_settings]`. */
interface SegmentSettings {
  [name: string]: SegmentJson;
}

/** A handler of an insert function. It returns the event, or throws `DropEvent`. */
type SegmentInsertHandler = (
  event: SegmentEvent,
  settings: SegmentSettings,
) => SegmentEvent | Promise<SegmentEvent>;

/** A handler of a destination function. */
type SegmentDestinationHandler = (event: SegmentEvent, settings: SegmentSettings) => any;

/** The handler `onBatch`, which gets up to 20 events. */
type SegmentBatchHandler = (events: SegmentEvent[], settings: SegmentSettings) => any;

/** The event becomes a dead letter: the function does not support its type. */
declare class EventNotSupported extends Error {}
/** The event becomes a dead letter: its contents are wrong. */
declare class InvalidEventPayload extends Error {}
/** The event becomes a dead letter: its contents are wrong. */
declare class ValidationError extends Error {}
/** The event becomes a dead letter, to be replayed. */
declare class RetryError extends Error {}
/** The event is dropped. For insert functions. */
declare class DropEvent extends Error {}

// Requests, as in node-fetch 2.

type SegmentHeadersInit = Headers | { [name: string]: string } | Iterable<[string, string]>;
type SegmentBodyInit = string | Uint8Array | ArrayBuffer | URLSearchParams | FormData | null;

interface SegmentRequestInit {
  method?: string;
  headers?: SegmentHeadersInit;
  body?: SegmentBodyInit;
  redirect?: 'follow' | 'error' | 'manual';
  timeout?: number;
}

declare class Headers {
  constructor(init?: SegmentHeadersInit);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  has(name: string): boolean;
  set(name: string, value: string): void;
  raw(): { [name: string]: string[] };
  forEach(callback: (value: string, name: string, headers: Headers) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

interface SegmentBody {
  readonly bodyUsed: boolean;
  arrayBuffer(): Promise<ArrayBuffer>;
  buffer(): Promise<Buffer>;
  json(): Promise<SegmentJson>;
  text(): Promise<string>;
}

declare class Request {
  constructor(input: string | URL | Request, init?: SegmentRequestInit);
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly redirect: string;
  clone(): Request;
}
interface Request extends SegmentBody {}

declare class Response {
  constructor(body?: SegmentBodyInit, init?: { status?: number; statusText?: string; headers?: SegmentHeadersInit });
  readonly url: string;
  readonly status: number;
  readonly statusText: string;
  readonly ok: boolean;
  readonly redirected: boolean;
  readonly headers: Headers;
  clone(): Response;
}
interface Response extends SegmentBody {}

declare class FormData {
  append(name: string, value: string | number | Uint8Array, options?: string | { filename?: string; contentType?: string }): void;
  getBoundary(): string;
  getHeaders(headers?: { [name: string]: string }): { [name: string]: string };
  getBuffer(): Buffer;
  getLengthSync(): number;
}

/** Sends a request to a server of `[plugin.network]`. */
declare function fetch(input: string | URL | Request, init?: SegmentRequestInit): Promise<Response>;

declare class URL {
  constructor(input: string | URL, base?: string | URL);
  static canParse(input: string | URL, base?: string | URL): boolean;
  hash: string;
  host: string;
  hostname: string;
  href: string;
  readonly origin: string;
  password: string;
  pathname: string;
  port: string;
  protocol: string;
  search: string;
  readonly searchParams: URLSearchParams;
  username: string;
  toJSON(): string;
  toString(): string;
}

declare class URLSearchParams {
  constructor(init?: string | { [name: string]: string } | Iterable<[string, string]>);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(callback: (value: string, name: string, parameters: URLSearchParams) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
  toString(): string;
}

// Bytes and texts.

type SegmentEncoding = 'utf8' | 'utf-8' | 'hex' | 'base64' | 'base64url' | 'latin1' | 'binary' | 'ascii' | 'utf16le' | 'ucs2';
type SegmentBytes = string | Uint8Array | ArrayBuffer | DataView;

interface Buffer extends Uint8Array {
  toString(encoding?: string, start?: number, end?: number): string;
  equals(other: Uint8Array): boolean;
  compare(other: Uint8Array): -1 | 0 | 1;
  copy(target: Uint8Array, targetStart?: number, start?: number, end?: number): number;
  write(text: string, offset?: number, length?: number, encoding?: SegmentEncoding): number;
}

declare const Buffer: {
  from(value: string, encoding?: SegmentEncoding): Buffer;
  from(value: ArrayBuffer | Uint8Array | readonly number[]): Buffer;
  alloc(size: number, fill?: string | number): Buffer;
  byteLength(value: SegmentBytes, encoding?: SegmentEncoding): number;
  compare(one: Uint8Array, other: Uint8Array): -1 | 0 | 1;
  concat(list: readonly Uint8Array[], length?: number): Buffer;
  isBuffer(value: unknown): value is Buffer;
};

declare class TextEncoder {
  readonly encoding: string;
  encode(text?: string): Uint8Array;
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  decode(data?: Uint8Array | ArrayBuffer): string;
}

declare function atob(text: string): string;
declare function btoa(text: string): string;
declare function structuredClone<T>(value: T): T;

// Timers do not wait.

declare function setTimeout(callback: (...values: any[]) => void, ms?: number, ...values: unknown[]): number;
declare function setImmediate(callback: (...values: any[]) => void, ...values: unknown[]): number;
declare function clearTimeout(timer?: number): void;
declare function clearImmediate(timer?: number): void;

/** Writes to the log. */
declare const console: {
  assert(condition?: unknown, ...values: unknown[]): void;
  debug(...values: unknown[]): void;
  dir(value: unknown): void;
  error(...values: unknown[]): void;
  info(...values: unknown[]): void;
  log(...values: unknown[]): void;
  trace(...values: unknown[]): void;
  warn(...values: unknown[]): void;
};

// What Segment adds to Node.js.

interface SegmentHash {
  update(data: SegmentBytes, encoding?: SegmentEncoding): this;
  digest(): Buffer;
  digest(encoding: SegmentEncoding): string;
  copy(): SegmentHash;
}

declare const crypto: {
  createHash(algorithm: string): SegmentHash;
  createHmac(algorithm: string, key: SegmentBytes): SegmentHash;
  getHashes(): string[];
  getRandomValues<T extends Uint8Array>(array: T): T;
  randomBytes(size: number): Buffer;
  randomInt(max: number): number;
  randomInt(min: number, max: number): number;
  randomUUID(): string;
  timingSafeEqual(one: SegmentBytes, other: SegmentBytes): boolean;
};

/** Up to 1,000 values of a function instance. `ttl` is in milliseconds. */
declare const cache: {
  load<T>(key: string, ttl: number | null | undefined, create: () => T | Promise<T>): Promise<T>;
  delete(key: string): void;
};

declare const jsonwebtoken: {
  sign(payload: SegmentJson, secret: SegmentBytes, options?: { [name: string]: SegmentJson }): string;
  verify(token: string, secret: SegmentBytes, options?: { [name: string]: SegmentJson }): SegmentJson;
  decode(token: string, options?: { complete?: boolean; json?: boolean }): SegmentJson;
};

type SegmentCompress = (data: SegmentBytes) => Promise<Buffer>;
type SegmentCompressSync = (data: SegmentBytes) => Buffer;
declare const zlib: {
  zlib: {
    deflate: SegmentCompress;
    deflateSync: SegmentCompressSync;
    gzip: SegmentCompress;
    gzipSync: SegmentCompressSync;
    gunzip: SegmentCompress;
    gunzipSync: SegmentCompressSync;
    inflate: SegmentCompress;
    inflateSync: SegmentCompressSync;
    unzip: SegmentCompress;
    unzipSync: SegmentCompressSync;
  };
};

declare const uuidv5: {
  (namespace: string, name: string | Uint8Array): string;
  uuidv5(namespace: string, name: string | Uint8Array): string;
};

// Packages. Their own types are on npm: @types/lodash, moment-timezone and so on.

/** lodash 4 */
declare const _: any;
/** moment with time zones */
declare const moment: any;
declare const libphonenumberjslib: { libphonenumberjs: any };
declare const xml: any;
declare const xml2js: any;
