// Builds router.wasm, or the file that is given, from router.js and the contract.

import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const contract = here('../../../wit/mapping.wit');
const output = process.argv[2] ?? here('router.wasm');

const { component } = await componentize(await readFile(here('router.js'), 'utf8'), {
  witPath: contract,
  worldName: 'plugin',
  // The host takes no component that imports WASI HTTP.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(output, component);
