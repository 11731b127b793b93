// Builds router.wasm, or the file that is given, from plugin.js, the files that it imports by
// their relative paths, and the contract.

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const output = process.argv[2] ?? here('router.wasm');

const { component } = await componentize({
  sourcePath: here('plugin.js'),
  witPath: here('../../../wit/mapping.wit'),
  worldName: 'plugin',
  // The host takes no component that imports WASI HTTP.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(output, component);
