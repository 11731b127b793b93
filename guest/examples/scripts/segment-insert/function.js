// An insert function of Segment: it changes or drops an event. Change it as you like.

/** @type {SegmentInsertHandler} */
async function onTrack(event, settings) {
  if (settings.blockedEvents.includes(event.event)) {
    throw new DropEvent('blocked by the settings');
  }
  if (!event.userId) throw new InvalidEventPayload('the event has no userId');
  event.userId = crypto.createHash('sha256').update(event.userId).digest('hex');
  return event;
}

/** @type {SegmentInsertHandler} */
async function onPage(event) {
  return event;
}
