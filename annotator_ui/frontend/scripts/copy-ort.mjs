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
for (const name of ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]) {
  copyFileSync(join(source, name), join(target, name));
}
