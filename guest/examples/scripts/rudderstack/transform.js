// A transformation of RudderStack. Change it as you like.

import { sha256 } from '@rs/hash/v1';
import { isTestUser } from 'userRules';

/** @type {TransformEvent} */
export function transformEvent(event, metadata) {
  if (isTestUser(event)) return;
  if (event.type !== 'track') return event;
  if (!event.userId) throw new Error('the event has no userId');
  event.userId = sha256((getCredential('salt') ?? '') + event.userId);
  event.properties = { ...event.properties, source: metadata(event).sourceName };
  return event;
}
