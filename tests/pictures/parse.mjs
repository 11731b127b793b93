// Reads a flowchart on the standard input with Mermaid itself, and answers what is in
// it: [[label of each node], number of edges].
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.argv[2] + "/"));
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;

const entry = require.resolve("mermaid").replace(/[^/]*$/, "mermaid.core.mjs");
const { default: mermaid } = await import(pathToFileURL(entry));
mermaid.initialize({ maxTextSize: 1e7, maxEdges: 1e6 });

// Entities wait in this form until Mermaid paints.
const painted = (text) => {
  const entities = text.replace(/ﬂ°°/g, "&#").replace(/ﬂ°/g, "&").replace(/¶ß/g, ";");
  const element = window.document.createElement("div");
  element.innerHTML = entities.replace(/<br\s*\/?>/g, "\n");
  return element.textContent;
};

const { db } = await mermaid.mermaidAPI.getDiagramFromText(readFileSync(0, "utf8"));
const labels = [...db.getVertices().values()].map((node) => painted(node.text));
console.log(JSON.stringify([labels, db.getEdges().length]));
