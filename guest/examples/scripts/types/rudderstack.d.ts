// What a transformation of RudderStack can use in Standpipe. Editors and `tsc` read this file; Standpipe
// does not.

/** Any value of JSON. */
type RudderJson = any;

/** An event of RudderStack. Its members depend on the type and on the sender. */
interface RudderEvent {
  type?: string;
  event?: string;
  name?: string;
  messageId?: string;
  userId?: string;
  anonymousId?: string;
  groupId?: string;
  previousId?: string;
  rudderId?: string;
  channel?: string;
  originalTimestamp?: string;
  sentAt?: string;
  receivedAt?: string;
  timestamp?: string;
  properties?: { [name: string]: RudderJson };
  traits?: { [name: string]: RudderJson };
  context?: { traits?: { [name: string]: RudderJson }; [name: string]: RudderJson };
  integrations?: { [name: string]: RudderJson };
  [name: string]: RudderJson;
}

/** What is known about an event beside its contents. Members without a value are `undefined`. */
interface RudderMetadata {
  /** The name of the source. */
  sourceId?: string;
  sourceName?: string;
  workspaceId?: string;
  sourceType?: string;
  sourceCategory?: string;
  destinationId?: string;
  /** `FIREHOSE` */
  destinationType?: string;
  destinationName?: string;
  namespace?: string;
  originalSourceId?: string;
  trackingPlanId?: string;
  trackingPlanVersion?: number;
  sourceTpConfig?: RudderJson;
  mergedTpConfig?: RudderJson;
  jobId?: number;
  sourceJobId?: string;
  sourceJobRunId?: string;
  sourceTaskRunId?: string;
  recordId?: RudderJson;
  messageId?: string;
  messageIds?: string[];
  rudderId?: string;
  receivedAt?: string;
  eventName?: string;
  eventType?: string;
  sourceDefinitionId?: string;
  destinationDefinitionId?: string;
  transformationId?: string;
  transformationVersionId?: string;
}

/** Looks up an event by its `messageId`. */
type RudderMetadataFunction = (event: RudderEvent) => RudderMetadata;

/** An event, several events, or nothing to drop the event. */
type RudderResult = RudderEvent | RudderEvent[] | null | undefined | void;

/** The function that Standpipe calls for each event. */
type TransformEvent = (
  event: RudderEvent,
  metadata: RudderMetadataFunction,
) => RudderResult | Promise<RudderResult>;

/** The function that Standpipe calls for each batch of 1 to 500 events. */
type TransformBatch = (
  events: RudderEvent[],
  metadata: RudderMetadataFunction,
) => RudderEvent[] | Promise<RudderEvent[]>;

interface RudderFetchOptions {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';
  headers?: { [name: string]: string };
  body?: string;
  redirect?: 'follow' | 'error' | 'manual';
  timeout?: number;
}

interface RudderResponse {
  url: string;
  status: number;
  headers: { [name: string]: string | string[] };
  /** Parsed if it is JSON, and a text otherwise. */
  body: RudderJson;
}

interface RudderPlace {
  ip: string;
  city: string;
  country: string;
  region: string;
  postal: string;
  /** Latitude and longitude. */
  location: string;
  timezone: string;
}

/** Returns a value of `[plugin.credentials]`, or `undefined`. */
declare function getCredential(key: string): string | undefined;

/** Sends a request. Resolves to the parsed JSON of the response, or to `"ERROR"`. */
declare function fetch(url: string, options?: RudderFetchOptions): Promise<RudderJson>;

/** Sends a request. Rejects with an object that has a `message` if it fails. */
declare function fetchV2(url: string, options?: RudderFetchOptions): Promise<RudderResponse>;

/** Looks up an IP address in the database that `geolocation` in `[plugin]` names. */
declare function geolocation(ip: string): Promise<RudderPlace>;

/** Writes a line to the log. */
declare function log(...values: unknown[]): void;

/** Writes to the log. */
declare const console: {
  debug(...values: unknown[]): void;
  error(...values: unknown[]): void;
  info(...values: unknown[]): void;
  log(...values: unknown[]): void;
  warn(...values: unknown[]): void;
};

declare module '@rs/hash/v1' {
  export function md5(text: string): string;
  export function sha256(text: string): string;
  export function cyrb53(text: string, seed?: number): number;
}

declare module '@rs/encrypt/v1' {
  /** RSA. */
  export class JSEncrypt {
    constructor(options?: { [name: string]: RudderJson });
    setPublicKey(key: string): void;
    setPrivateKey(key: string): void;
    encrypt(text: string): string | false;
    decrypt(text: string): string | false;
  }
}

declare module '@rs/userAgentParser/v1' {
  export class UAParser {
    constructor(userAgent?: string);
    setUA(userAgent: string): this;
    getResult(): RudderJson;
    getBrowser(): RudderJson;
    getDevice(): RudderJson;
    getEngine(): RudderJson;
    getOS(): RudderJson;
    getCPU(): RudderJson;
    getUA(): string;
  }
}

declare module '@rs/localizeAppleDeviceModel/v1' {
  export function getLocalizedDeviceModel(model: string): string;
}
