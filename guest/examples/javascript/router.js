// A mapping plugin that routes events by name and type, as the built-in plugin
// does, and can add members to what it delivers.
//
//   [[plugin.settings.mappings]]
//   event = "Order Completed"   # an event's name, or its type, or "*"
//   stream = "orders"
//
//   [plugin.settings.add]
//   environment = "production"  # each event gets "environment":"production"

const UNMAPPED = "no mapping matches the event's name or type, and there is no mapping for *";
const ANY = '*';

// What the rule about a final sigma looks past: the usual ones of Unicode's Case_Ignorable.
const IGNORED = /['.:^`\u00a8\u00ad\u00b7\u2018\u2019\u2024\u2027\u0300-\u036f]/;

// The instance's settings, ready for use. The host calls `configure` once, before
// anything else.
let router;

/** The interface `mapper` of wit/mapping.wit; a replaced payload may be a string, too. */
export const mapper = {
  // A string that is thrown is the error of the contract's `result`.
  configure(settings) {
    const { rows, fanOut, unmapped, members } = parseSettings(settings);
    const { table, streams } = tableOf(rows);
    router = { table, fanOut, unmapped, members };
    // By name and type alone, the host asks once for all events that are alike.
    return { streams, reads: members === '' ? 'kind' : 'text' };
  },

  mapEvents(events) {
    const outputs = [];
    events.forEach((event, input) => {
      const streams = streamsOf(event);
      if (streams.length === 0 && router.unmapped === 'dead_letter') {
        outputs.push({ input, decision: { tag: 'reject', val: UNMAPPED } });
      }
      for (const stream of streams) {
        const target = { tag: 'declared', val: stream };
        const payload = router.members === ''
          ? { tag: 'original' }
          : { tag: 'replaced', val: added(event.text, router.members) };
        outputs.push({ input, decision: { tag: 'deliver', val: { target, payload } } });
      }
    });
    return outputs;
  },
};

// Where an event goes: by its name, else its type, else `*`; with `fan_out` by all
// three, to each stream once.
function streamsOf({ name, messageType }) {
  const streams = [];
  for (const word of [name, messageType, ANY]) {
    const row = word === undefined ? undefined : router.table.get(lowerCase(word));
    if (row === undefined) continue;
    if (router.fanOut) {
      streams.push(...row.all.filter((stream) => !streams.includes(stream)));
    } else if (row.last !== undefined) {
      return [row.last];
    }
  }
  return streams;
}

// The text of an event, which is one JSON object, with these members at its end. It
// is spliced, not parsed: number text, escapes and the order of keys stay as they
// came. Where a key is there twice, most readers take the last one.
function added(event, members) {
  const end = event.lastIndexOf('}');
  const before = event.slice(0, end);
  const comma = before.trimEnd().endsWith('{') ? '' : ',';
  return before + comma + members + event.slice(end);
}

// The rows by their event, in lower case. A row has the stream of the last row of
// its event (none if it is empty there), and those of all, each once.
function tableOf(rows) {
  const [table, streams] = [new Map(), []];
  for (const { number, event, stream } of rows) {
    const key = lowerCase(event);
    const row = table.get(key) ?? { last: undefined, all: [] };
    table.set(key, row);
    row.last = undefined;
    if (stream === '') continue;
    checkName(stream, `mapping ${number} (${JSON.stringify(event)})`);
    row.last = streams.indexOf(stream);
    if (row.last < 0) row.last = streams.push(stream) - 1;
    if (!row.all.includes(row.last)) row.all.push(row.last);
  }
  return { table, streams };
}

// Unicode's lower case. The engine inside the component lacks the one rule that looks
// at context: a capital sigma at the end of a word becomes another letter.
function lowerCase(text) {
  if (!text.includes('Σ')) return text.toLowerCase();
  const letters = [...text];
  const hasLetter = (index, step) => {
    let at = index + step;
    while (at in letters && IGNORED.test(letters[at])) at += step;
    return at in letters && letters[at].toLowerCase() !== letters[at].toUpperCase();
  };
  const isFinal = (index) => hasLetter(index, -1) && !hasLetter(index, 1);
  const lower = (letter, index) => (letter === 'Σ' && isFinal(index) ? 'ς' : letter.toLowerCase());
  return letters.map(lower).join('');
}

function checkName(name, place) {
  const letters = [...name];
  if (letters.length > 64) {
    throw `${place}: the stream name ${JSON.stringify(name)} has ${letters.length} characters: Firehose takes 1 to 64`;
  }
  const bad = letters.find((letter) => !/[a-zA-Z0-9_.-]/.test(letter));
  if (bad !== undefined) {
    throw `${place}: the stream name ${JSON.stringify(name)} contains '${bad}': `
      + 'Firehose takes letters a-z and A-Z, digits, and _ . -';
  }
}

// The settings, checked. Errors are for operators: they say which setting is wrong,
// and what to write.
function parseSettings(text) {
  const raw = parseJson(text);
  if (!isObject(raw)) throw wrong('they must be a JSON object');
  const known = ['mappings', 'fan_out', 'unmapped', 'add'];
  const unknown = Object.keys(raw).sort().find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw wrong(`the key ${JSON.stringify(unknown)} is unknown: there are ${known.join(', ')}`);
  }
  const { mappings = [], fan_out: fanOut = false, unmapped = 'filter', add = {} } = raw;
  if (typeof fanOut !== 'boolean') throw wrong('`fan_out` must be true or false');
  if (unmapped !== 'filter' && unmapped !== 'dead_letter') {
    throw wrong('`unmapped` must be "filter" or "dead_letter"');
  }
  if (!isObject(add)) throw wrong('`add` must be an object of strings');
  const members = membersOf(add);
  if (!Array.isArray(mappings)) throw wrong('`mappings` must be an array of tables');
  const rows = mappings.map((row, index) => parseRow(index + 1, row)).filter((row) => row !== undefined);
  if (rows.every((row) => row.stream === '')) {
    throw 'no mapping names both an event and a stream: add `[[plugin.settings.mappings]]` with `event` '
      + 'and `stream`, or give `--map EVENT=STREAM` (`*` matches every event)';
  }
  return { rows, fanOut, unmapped, members };
}

// Undefined for a row that can match nothing.
function parseRow(number, row) {
  if (!isObject(row)) {
    throw `mapping ${number} is not a table: write \`event = "..."\` and \`stream = "..."\``;
  }
  const unknown = Object.keys(row).sort().find((key) => key !== 'event' && key !== 'stream');
  if (unknown !== undefined) {
    throw `mapping ${number} has the unknown key ${JSON.stringify(unknown)}: a mapping has \`event\` and \`stream\``;
  }
  const stream = row.stream ?? '';
  if (typeof stream !== 'string') {
    throw `mapping ${number}: \`stream\` must be a string, the name of a delivery stream`;
  }
  return typeof row.event === 'string' && row.event !== '' ? { number, event: row.event, stream } : undefined;
}

// Members as JSON text with commas between them, in the order of their code points,
// whatever the order in the settings.
function membersOf(add) {
  const keys = Object.keys(add).sort(byCodePoints);
  const wrongKey = keys.find((key) => typeof add[key] !== 'string');
  if (wrongKey !== undefined) {
    throw wrong(`\`add\` must hold strings, and ${JSON.stringify(wrongKey)} is not a string`);
  }
  return keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(add[key])}`).sort(byCodePoints).join(',');
}

function byCodePoints(one, other) {
  const [left, right] = [[...one], [...other]];
  const at = left.findIndex((letter, index) => letter !== right[index]);
  if (at < 0) return left.length - right.length;
  return at < right.length ? left[at].codePointAt(0) - right[at].codePointAt(0) : 1;
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(message) {
  return `the mapping plugin's settings are wrong: ${message}`;
}
