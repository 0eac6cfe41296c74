/** Bytes fetched before they are asked for: the images and embeddings of the images that come next. */

import type { ApiClient } from "../../api/client";
import type { ImageOut } from "../../api/types";

export class Prefetch {
  readonly #api: ApiClient;
  readonly #imageFiles = new Map<string, Promise<Blob>>();
  readonly #embeddings = new Map<string, Promise<ArrayBuffer>>();

  constructor(api: ApiClient) {
    this.#api = api;
  }

  /** Fetch what these images need, and forget what no longer comes next. */
  expect(images: readonly ImageOut[]): void {
    const imageUrls = new Set(images.map((image) => image.file_url));
    const embeddingUrls = new Set(images.map((image) => image.embedding_url));
    forgetOthers(this.#imageFiles, imageUrls);
    forgetOthers(this.#embeddings, embeddingUrls);
    for (const url of imageUrls) this.#start(this.#imageFiles, url, () => this.#api.blob(url));
    for (const url of embeddingUrls) this.#start(this.#embeddings, url, () => this.#api.bytes(url));
  }

  imageFile(url: string): Promise<Blob> {
    return take(this.#imageFiles, url) ?? this.#api.blob(url);
  }

  embedding(url: string): Promise<ArrayBuffer> {
    return take(this.#embeddings, url) ?? this.#api.bytes(url);
  }

  #start<Value>(
    cache: Map<string, Promise<Value>>,
    url: string,
    fetch: () => Promise<Value>,
  ): void {
    if (cache.has(url)) return;
    const coming = fetch();
    cache.set(url, coming);
    // A failure ahead of time is no failure: the image asks again when its turn comes.
    coming.catch(() => cache.delete(url));
  }
}

function take<Value>(cache: Map<string, Promise<Value>>, url: string): Promise<Value> | undefined {
  const found = cache.get(url);
  cache.delete(url);
  return found;
}

function forgetOthers(cache: Map<string, unknown>, wanted: ReadonlySet<string>): void {
  for (const url of cache.keys()) if (!wanted.has(url)) cache.delete(url);
}
