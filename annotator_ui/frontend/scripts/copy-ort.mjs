// Copies the onnxruntime WebAssembly build next to the page's own files (public/ort, git-ignored).
// Served as plain files because a bundled copy cannot start its threads (it hangs without an error).
import { copyFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const source = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
const target = join(here, "..", "public", "ort");

mkdirSync(target, { recursive: true });
// The second pair drives graphics cards; browsers without one never ask for it.
for (const build of ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"]) {
  for (const type of ["mjs", "wasm"])
    copyFileSync(join(source, `${build}.${type}`), join(target, `${build}.${type}`));
}
