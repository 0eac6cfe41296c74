// Copies the onnxruntime WebAssembly build next to the page's own files (public/ort, git-ignored).
// Served as plain files because a bundled copy cannot start its threads (it hangs without an error).
// Compressed here, once: 14 MB raw, and a server that compresses it at every start takes half a minute.
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const BROTLI_QUALITY = 7; // 11 saves a sixth more and takes twenty times as long

const here = dirname(fileURLToPath(import.meta.url));
const source = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
const target = join(here, "..", "public", "ort");

mkdirSync(target, { recursive: true });
for (const name of ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]) {
  const [from, to] = [join(source, name), join(target, name)];
  const isCopied = [to, `${to}.br`, `${to}.gz`].every(existsSync) && statSync(to).size === statSync(from).size;
  if (isCopied) continue;
  copyFileSync(from, to);
  const bytes = readFileSync(from);
  writeFileSync(`${to}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }));
  writeFileSync(`${to}.gz`, gzipSync(bytes, { level: 9 }));
}
