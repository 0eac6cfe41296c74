/** Where unsent work waits: on this device's disk, so that a closed tab or a dead server loses nothing. */

import type { QueuedOp } from "./queuedOps";

export interface Journal {
  put(op: QueuedOp): Promise<void>;
  remove(id: string): Promise<void>;
  all(): Promise<readonly QueuedOp[]>;
  /** Why nothing is really kept here; absent in a journal that keeps. */
  readonly problem?: string;
}

const DATABASE = "segloop";
const STORE = "ops";

export class IndexedDbJournal implements Journal {
  readonly #database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.#database = database;
  }

  /** Rejects where the browser allows no storage (some private windows). */
  static async open(factory: IDBFactory): Promise<IndexedDbJournal> {
    const request = factory.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    return new IndexedDbJournal(await settled(request));
  }

  async put(op: QueuedOp): Promise<void> {
    await this.#write((store) => store.put(op));
  }

  async remove(id: string): Promise<void> {
    await this.#write((store) => store.delete(id));
  }

  async all(): Promise<readonly QueuedOp[]> {
    const store = this.#database.transaction(STORE, "readonly").objectStore(STORE);
    const ops = await settled(store.getAll() as IDBRequest<QueuedOp[]>);
    return ops.sort((a, b) => a.queuedAtMs - b.queuedAtMs || a.ordinal - b.ordinal);
  }

  #write(change: (store: IDBObjectStore) => IDBRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      // Strict: the default lets a power cut lose what was reported as kept.
      const transaction = this.#database.transaction(STORE, "readwrite", { durability: "strict" });
      transaction.oncomplete = () => resolve();
      transaction.onerror = transaction.onabort = () =>
        reject(transaction.error ?? new Error("The write was aborted."));
      change(transaction.objectStore(STORE));
    });
  }
}

/** For browsers without storage: unsent work lives only as long as the tab. */
export class MemoryJournal implements Journal {
  readonly problem = "This browser keeps nothing on this device (a private window?).";
  readonly #ops = new Map<string, QueuedOp>();

  put(op: QueuedOp): Promise<void> {
    this.#ops.set(op.id, op);
    return Promise.resolve();
  }

  remove(id: string): Promise<void> {
    this.#ops.delete(id);
    return Promise.resolve();
  }

  all(): Promise<readonly QueuedOp[]> {
    return Promise.resolve([...this.#ops.values()]);
  }
}

function settled<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("The browser's storage failed."));
  });
}
