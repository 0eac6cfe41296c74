// Writes src/api/schema.gen.ts, the types of the API's JSON, from docs/openapi.json.
import { readFile, writeFile } from "node:fs/promises";
import openapiTypescript, { astToString } from "openapi-typescript";

const HEADER = "/** Generated from docs/openapi.json by `make contracts`; do not edit. */\n\n";
const root = new URL("../", import.meta.url);
const document = JSON.parse(await readFile(new URL("../../docs/openapi.json", root), "utf8"));
// Addresses are written in client.ts; the types of bodies are all that is shared.
const { openapi, info, components } = document;
const ast = await openapiTypescript(
  { openapi, info, paths: {}, components },
  { immutable: true, arrayLength: true, alphabetize: true },
);
// Tuples come out mutable whatever `immutable` says.
const text = astToString(ast).replace(/: \[\s*number/g, ": readonly [number");
await writeFile(new URL("src/api/schema.gen.ts", root), HEADER + text);
