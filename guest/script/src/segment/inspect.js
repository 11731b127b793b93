// Writes values as lines for people, as the console of Node.js does.
'use strict';

const DEPTH_MAX = 2;
const ELEMENTS_MAX = 100;

const quote = text => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'").replace(/\n/g, '\\n')}'`;

function describeError(error) {
  const stack = typeof error.stack === 'string' ? error.stack.trimEnd() : '';
  return stack ? `${error}\n${stack}` : String(error);
}

function inspect(value, open = []) {
  switch (typeof value) {
    case 'string':
      return open.length === 0 ? value : quote(value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return value.toString();
    case 'function':
      return `[Function: ${value.name || '(anonymous)'}]`;
    case 'object':
      return value === null ? 'null' : inspectObject(value, open);
    default:
      return Object.is(value, -0) ? '-0' : String(value);
  }
}

function inspectObject(object, open) {
  if (open.includes(object)) return '[Circular *1]';
  if (object instanceof Error) return describeError(object);
  if (object instanceof Date) return Number.isNaN(object.getTime()) ? 'Invalid Date' : object.toISOString();
  if (object instanceof RegExp) return String(object);
  if (object instanceof Promise) return 'Promise';
  const name = object.constructor && object.constructor.name;
  const isList = Array.isArray(object) || ArrayBuffer.isView(object);
  if (open.length > DEPTH_MAX) return isList ? '[Array]' : `[${name || 'Object'}]`;
  const inner = [...open, object];
  const parts = [];
  if (isList) {
    for (const element of Array.from(object).slice(0, ELEMENTS_MAX)) parts.push(inspect(element, inner));
    if (object.length > ELEMENTS_MAX) parts.push(`... ${object.length - ELEMENTS_MAX} more items`);
  } else if (object instanceof Map) {
    for (const [key, member] of object) parts.push(`${inspect(key, inner)} => ${inspect(member, inner)}`);
  } else if (object instanceof Set) {
    for (const member of object) parts.push(inspect(member, inner));
  } else {
    for (const key of Object.keys(object)) {
      const shown = /^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key);
      parts.push(`${shown}: ${inspect(object[key], inner)}`);
    }
  }
  const prefix = name && name !== 'Object' && name !== 'Array' ? `${name} ` : '';
  const [start, end] = Array.isArray(object) ? '[]' : '{}';
  return parts.length === 0 ? `${prefix}${start}${end}` : `${prefix}${start} ${parts.join(', ')} ${end}`;
}

function format(values) {
  let rest = values;
  let text = '';
  if (typeof values[0] === 'string' && values.length > 1) {
    let next = 1;
    text = values[0].replace(/%[sdifjoO%]/g, directive => {
      if (directive === '%%') return '%';
      if (next >= values.length) return directive;
      const value = values[next++];
      switch (directive) {
        case '%s':
          return typeof value === 'object' ? inspect(value, [null]) : String(value);
        case '%d':
          return String(Number(value));
        case '%i':
          return String(parseInt(value, 10));
        case '%f':
          return String(parseFloat(value));
        case '%j':
          return JSON.stringify(value);
        default:
          return inspect(value, [null]);
      }
    });
    rest = values.slice(next);
    if (rest.length > 0) text += ' ';
  }
  return text + rest.map(value => inspect(value)).join(' ');
}

module.exports = { format, inspect };
