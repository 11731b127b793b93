// A destination function of Segment: it sends an event to a server. Change it as you like.

/** @type {SegmentDestinationHandler} */
async function onTrack(event, settings) {
  if (!event.userId) throw new InvalidEventPayload('the event has no userId');
  const response = await fetch(settings.endpoint, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${settings.apiKey}` },
    body: JSON.stringify({ user: event.userId, properties: event.properties }),
  });
  if (response.status >= 500 || response.status === 429) {
    throw new RetryError(`the server responded with status ${response.status}`);
  }
}
