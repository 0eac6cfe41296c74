import { IDBFactory } from "fake-indexeddb";
import { expect, it } from "vitest";
import { rleSha256 } from "../core/mask/rle";
import { ApiError } from "./client";
import type { ApiErrorKind } from "./client";
import { IndexedDbJournal } from "./journal";
import type { Journal } from "./journal";
import { rleFromJson } from "./mapping";
import { SaveQueue } from "./saveQueue";
import type { NewOp } from "./queuedOps";
import type { TabLink, TabMessage } from "./tabs";
import type { MaskIn, SavedMaskOut } from "./types";

const trouble = (kind: ApiErrorKind, message = kind as string) =>
  new ApiError(kind, message, { status: 0, code: kind, retryAfterS: null });

/** Stores what it is sent, by revision, as the real one does; trouble can be put in its way. */
class FakeServer {
  readonly revisions = new Map<string, MaskIn>();
  readonly statuses: string[] = [];
  requests = 0;
  /** Taken one per request: before the server stores anything, or after (the answer is lost). */
  readonly troubles: { error: ApiError; isStored: boolean }[] = [];
  pixelsChange = false;
  isConflict = false;

  saveMask(_assignmentId: string, mask: MaskIn): Promise<SavedMaskOut> {
    this.requests += 1;
    const next = this.troubles.shift();
    if (next?.isStored === false) return Promise.reject(next.error);
    const duplicate = this.revisions.has(mask.revision_id);
    this.revisions.set(mask.revision_id, mask);
    if (next !== undefined) return Promise.reject(next.error);
    return Promise.resolve({
      mask_id: mask.mask_id,
      revision_id: mask.revision_id,
      rle_sha256: this.pixelsChange ? "0".repeat(64) : rleSha256(rleFromJson(mask.rle)),
      area_px: 1,
      bbox_xywh_px: [0, 0, 1, 1],
      duplicate,
      conflict: this.isConflict,
    });
  }

  setMaskStatus(maskId: string, to: string): Promise<void> {
    this.requests += 1;
    const next = this.troubles.shift();
    if (next !== undefined) return Promise.reject(next.error);
    this.statuses.push(`${maskId} ${to}`);
    return Promise.resolve();
  }
}

interface Options {
  link?: TabLink;
  journal?: Journal;
  userName?: string;
  /** The page is closed while it waits to try again. */
  isClosedOnTrouble?: boolean;
}

async function start(server: FakeServer, options: Options = {}) {
  const journal = options.journal ?? (await IndexedDbJournal.open(new IDBFactory()));
  const naps: number[] = [];
  const queue = new SaveQueue({
    server,
    journal,
    userName: options.userName ?? "ann",
    ...(options.link === undefined ? {} : { link: options.link }),
    nowMs: () => 1,
    random: () => 1,
    sleep: (ms) => {
      naps.push(ms);
      return new Promise((resolve) => {
        if (options.isClosedOnTrouble !== true) setTimeout(resolve, 0);
      });
    },
  });
  return { queue, journal, naps };
}

function save(id: string, maskId = `mask-${id}`): NewOp {
  const body = {
    mask_id: maskId,
    revision_id: id,
    rle: { size: [1, 1] as const, counts: "01" },
    prompts: [],
  };
  return {
    kind: "save",
    id,
    imageId: "image",
    imageName: "cat.jpg",
    maskId,
    assignmentId: "assignment",
    body,
  };
}

const status = (maskId: string, to: "accepted" | "rejected"): NewOp => ({
  kind: "status",
  id: `status-${maskId}-${to}`,
  imageId: "image",
  imageName: "cat.jpg",
  maskId,
  to,
});

it("sends in order and empties the journal", async () => {
  const server = new FakeServer();
  const { queue, journal } = await start(server);

  await Promise.all([
    queue.enqueue(save("r1")),
    queue.enqueue(save("r2")),
    queue.enqueue(status("mask-r1", "rejected")),
  ]);
  await queue.drained();

  expect([...server.revisions.keys()]).toEqual(["r1", "r2"]);
  expect(server.statuses).toEqual(["mask-r1 rejected"]);
  expect(queue.state()).toMatchObject({ savedCount: 2, pending: [], refused: [], trouble: null });
  expect(await journal.all()).toEqual([]);
});

it("keeps the op in the journal before the first byte is sent", async () => {
  const server = new FakeServer();
  const { queue, journal } = await start(server);
  let keptWhenSent: number | null = null;
  const put = journal.put.bind(journal);
  journal.put = async (op) => {
    keptWhenSent = server.requests;
    await put(op);
  };

  await queue.enqueue(save("r1"));
  await queue.drained();

  expect(keptWhenSent).toBe(0);
});

it("makes one mask of a save whose answer was lost", async () => {
  const server = new FakeServer();
  server.troubles.push({ error: trouble("network"), isStored: true });
  const { queue } = await start(server);

  await queue.enqueue(save("r1"));
  await queue.drained();

  expect(server.requests).toBe(2);
  expect(server.revisions.size).toBe(1);
  expect(queue.state().savedCount).toBe(1);
});

it("waits longer after each failure and says that it is offline", async () => {
  const server = new FakeServer();
  for (let i = 0; i < 7; i += 1)
    server.troubles.push({ error: trouble(i % 2 ? "server" : "network"), isStored: false });
  const { queue, naps } = await start(server);
  const troubles = new Set<string>();
  queue.subscribe(() => troubles.add(queue.state().trouble?.kind ?? "none"));

  await queue.enqueue(save("r1"));
  await queue.drained();

  expect(naps).toEqual([1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  expect(troubles).toEqual(new Set(["none", "offline"]));
  expect(server.revisions.size).toBe(1);
});

it("survives a lost sign-in and goes on after it", async () => {
  const server = new FakeServer();
  server.troubles.push({ error: trouble("signed_out"), isStored: false });
  const { queue } = await start(server);
  let wasSignedOut = false;
  queue.subscribe(() => (wasSignedOut ||= queue.state().trouble?.kind === "signed_out"));

  await queue.enqueue(save("r1"));
  await queue.drained();

  expect(wasSignedOut).toBe(true);
  expect(server.revisions.size).toBe(1);
});

it("keeps a refused mask with the server's words, goes on with the others, and can try again", async () => {
  const server = new FakeServer();
  server.troubles.push({ error: trouble("refused", "rle: too small"), isStored: false });
  const { queue, journal } = await start(server);

  await Promise.all([queue.enqueue(save("r1")), queue.enqueue(save("r2"))]);
  await queue.drained();

  expect(queue.state().refused).toMatchObject([{ id: "r1", refusal: "rle: too small" }]);
  expect([...server.revisions.keys()]).toEqual(["r2"]);
  expect(await journal.all()).toMatchObject([{ id: "r1" }]);

  await queue.retryRefused("r1");
  await queue.drained();
  expect(queue.state().refused).toEqual([]);
  expect(server.revisions.size).toBe(2);
});

it("does not call a mask saved when the server's fingerprint differs", async () => {
  const server = new FakeServer();
  server.pixelsChange = true;
  const { queue } = await start(server);

  await queue.enqueue(save("r1"));
  await queue.drained();

  expect(queue.state()).toMatchObject({
    savedCount: 0,
    refused: [{ id: "r1", refusal: /other pixels/ }].map(() => ({ id: "r1" })),
  });
});

it("replays after a reload what was not acknowledged, once, and only for the same person", async () => {
  const journal = await IndexedDbJournal.open(new IDBFactory());
  const dead = new FakeServer();
  dead.troubles.push({ error: trouble("network"), isStored: true });
  const before = await start(dead, { journal, isClosedOnTrouble: true });
  await before.queue.enqueue(save("r1"));
  // The page is gone: its journal holds r1, the server stored r1, the answer never came.
  const server = new FakeServer();
  server.revisions.set("r1", (save("r1") as { body: MaskIn }).body);

  const stranger = await start(server, { journal, userName: "bob" });
  await stranger.queue.restore();
  await stranger.queue.drained();
  expect(server.requests).toBe(0);

  const after = await start(server, { journal });
  await after.queue.restore();
  await after.queue.drained();
  expect(server.requests).toBe(1);
  expect(server.revisions.size).toBe(1);
  expect(await journal.all()).toEqual([]);
});

it("forgets a refused mask that is taken back, and sends it again when that is undone", async () => {
  const server = new FakeServer();
  server.troubles.push({ error: trouble("refused"), isStored: false });
  const { queue } = await start(server);
  await queue.enqueue(save("r1", "m"));
  await queue.drained();

  await queue.enqueue(status("m", "rejected"));
  expect(queue.state().refused).toEqual([]);
  expect(server.requests).toBe(1);

  await queue.enqueue(status("m", "accepted"));
  await queue.drained();
  expect([...server.revisions.keys()]).toEqual(["r1"]);
  expect(server.statuses).toEqual([]);
});

it("says when this device could not keep an unsent mask", async () => {
  const server = new FakeServer();
  const journal: Journal = {
    put: () => Promise.reject(new DOMException("full", "QuotaExceededError")),
    remove: () => Promise.resolve(),
    all: () => Promise.resolve([]),
  };
  const { queue } = await start(server, { journal });
  let wasWarned = false;
  queue.subscribe(() => (wasWarned ||= /no room left/.test(queue.state().keepProblem ?? "")));

  await queue.enqueue(save("r1"));
  await queue.drained();

  expect(wasWarned).toBe(true);
  expect(queue.state().keepProblem).toBeNull();
  expect(server.revisions.size).toBe(1);
});

/** Tabs of one browser: one lock, one channel, both as the browser has them. */
class Browser {
  readonly #waiting: (() => void)[] = [];
  readonly #listeners = new Map<number, (message: TabMessage) => void>();
  #holder: number | null = null;
  #tabs = 0;

  open(): { link: TabLink; close: () => void } {
    const tab = (this.#tabs += 1);
    const link: TabLink = {
      becomeSender: () =>
        new Promise((resolve) => {
          this.#waiting.push(() => {
            this.#holder = tab;
            resolve();
          });
          this.#next();
        }),
      post: (message) => {
        for (const [other, receive] of this.#listeners)
          if (other !== tab) queueMicrotask(() => receive(structuredClone(message)));
      },
      listen: (receive) => void this.#listeners.set(tab, receive),
    };
    const close = (): void => {
      this.#listeners.delete(tab);
      if (this.#holder === tab) this.#holder = null;
      this.#next();
    };
    return { link, close };
  }

  #next(): void {
    if (this.#holder === null) this.#waiting.shift()?.();
  }
}

it("lets one of two tabs send everything, each thing once, and both know", async () => {
  const server = new FakeServer();
  const journal = await IndexedDbJournal.open(new IDBFactory());
  const browser = new Browser();
  const first = await start(server, { journal, link: browser.open().link });
  const second = await start(server, { journal, link: browser.open().link });

  for (let i = 0; i < 5; i += 1)
    await Promise.all([first.queue.enqueue(save(`a${i}`)), second.queue.enqueue(save(`b${i}`))]);
  await Promise.all([first.queue.drained(), second.queue.drained()]);

  expect(server.revisions.size).toBe(10);
  expect(server.requests).toBe(10);
  expect(second.queue.state()).toMatchObject({ pending: [], refused: [], savedCount: 10 });
  expect(await journal.all()).toEqual([]);
});

it("goes on in the other tab when the sending one dies with work on its hands", async () => {
  const dead = new FakeServer();
  dead.troubles.push({ error: trouble("network"), isStored: true });
  const server = new FakeServer();
  const journal = await IndexedDbJournal.open(new IDBFactory());
  const browser = new Browser();
  const sending = browser.open();
  const first = await start(dead, { journal, link: sending.link, isClosedOnTrouble: true });
  const second = await start(server, { journal, link: browser.open().link });
  await first.queue.enqueue(save("r1"));
  await second.queue.enqueue(save("r2"));
  expect(server.requests).toBe(0);

  sending.close();
  await second.queue.drained();

  expect([...server.revisions.keys()].sort()).toEqual(["r1", "r2"]);
  expect(await journal.all()).toEqual([]);
});

it("says in both tabs what was refused, and takes it up again from either", async () => {
  const server = new FakeServer();
  server.troubles.push({ error: trouble("refused", "too small"), isStored: false });
  const journal = await IndexedDbJournal.open(new IDBFactory());
  const browser = new Browser();
  const first = await start(server, { journal, link: browser.open().link });
  const second = await start(server, { journal, link: browser.open().link });
  await first.queue.enqueue(save("r1"));
  await first.queue.drained();
  await Promise.resolve();
  expect(second.queue.state().refused).toMatchObject([{ id: "r1", refusal: "too small" }]);

  await second.queue.retryRefused("r1");
  await Promise.all([first.queue.drained(), second.queue.drained()]);

  expect(first.queue.state()).toMatchObject({ refused: [], savedCount: 1 });
  expect(server.revisions.size).toBe(1);
});

it("shows a mask that was kept beside somebody else's newer version", async () => {
  const server = new FakeServer();
  server.isConflict = true;
  const { queue } = await start(server);

  await queue.enqueue(save("r1"));
  await queue.drained();

  expect(queue.state()).toMatchObject({
    savedCount: 1,
    conflicts: [{ id: "r1", imageName: "cat.jpg" }],
  });
  queue.dismissConflict("r1");
  expect(queue.state().conflicts).toEqual([]);
});
