/** Starts the labelling page: reads the server's config and connects the parts. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiClient } from "./api/client";
import { IndexedDbJournal, MemoryJournal } from "./api/journal";
import type { Journal } from "./api/journal";
import { SaveQueue, sleep } from "./api/saveQueue";
import { ALONE, linkTabs } from "./api/tabs";
import type { TabLink } from "./api/tabs";
import type { PageConfig } from "./api/types";
import { uuid7 } from "./core/ids";
import { DecoderClient, threadsFor } from "./decoder/client";
import { App } from "./view/App";
import { Decoding } from "./view/inference/decoding";
import { LabelPage } from "./view/labelPage";
import { Prefetch } from "./view/inference/prefetch";
import { Settings } from "./view/settings";
import type { TextStore } from "./view/settings";
import { exposeState } from "./view/testHook";
import "./view/style/base.css";
import "./view/style/canvas.css";
import "./view/style/masks.css";
import "./view/style/status.css";

const LEASE_PING_MS = 60_000;
const QUEUE_KICK_MS = 15_000;

function readConfig(): PageConfig {
  const text = document.getElementById("label-config")?.textContent;
  if (text == null) throw new Error("The page has no label-config.");
  return JSON.parse(text) as PageConfig;
}

function csrfToken(config: PageConfig): string {
  const prefix = `${config.csrf_cookie_name}=`;
  const cookie = document.cookie.split("; ").find((part) => part.startsWith(prefix));
  return cookie === undefined ? config.csrf_token : decodeURIComponent(cookie.slice(prefix.length));
}

async function openJournal(): Promise<Journal> {
  try {
    const journal = await IndexedDbJournal.open(indexedDB);
    // Best effort: without it the browser may drop stored work when the disk runs full.
    void navigator.storage.persist().catch(() => false);
    return journal;
  } catch {
    return new MemoryJournal();
  }
}

/** One sender for all tabs of this person; needs a journal that they share. */
function shareTabs(config: PageConfig, journal: Journal): TabLink {
  if (journal.problem !== undefined || !("locks" in navigator) || !("BroadcastChannel" in window))
    return ALONE;
  const name = `segloop-sender-${config.user.name}`;
  return linkTabs(navigator.locks, new BroadcastChannel(name), name);
}

/** Reading localStorage throws where the browser forbids storage. */
function openSettings(): Settings {
  let store: TextStore | null = null;
  try {
    store = localStorage;
  } catch {
    // The choices hold for this visit.
  }
  return new Settings(store);
}

function newDecoder(): DecoderClient {
  const worker = new Worker(new URL("./decoder/worker.ts", import.meta.url), {
    type: "module",
    name: "decoder",
  });
  return new DecoderClient(worker);
}

async function makePage(config: PageConfig): Promise<LabelPage> {
  const nowMs = (): number => Date.now();
  const newId = (): string => uuid7(nowMs(), crypto.getRandomValues(new Uint8Array(10)));
  const nap = (ms: number): Promise<void> => sleep(ms, new AbortController().signal);
  const api = new ApiClient({
    base: config.api_base,
    csrfToken: () => csrfToken(config),
    fetch: fetch.bind(window),
  });
  const journal = await openJournal();
  const link = shareTabs(config, journal);
  const queue = new SaveQueue({
    server: api,
    journal,
    link,
    userName: config.user.name,
    nowMs,
    sleep,
    random: Math.random,
  });
  const prefetch = new Prefetch(api);
  const numThreads = threadsFor(crossOriginIsolated, navigator.hardwareConcurrency);
  const decoding = new Decoding({
    api,
    prefetch,
    ortUrl: config.static_ort_url,
    numThreads,
    newDecoder,
    sleep: nap,
  });
  const readImage = (blob: Blob): Promise<ImageBitmap> => createImageBitmap(blob);
  return new LabelPage({
    config,
    api,
    queue,
    decoding,
    prefetch,
    settings: openSettings(),
    newId,
    nowMs,
    sleep: nap,
    readImage,
  });
}

/** What the page does by itself: keep the lease, send what waits, warn before losing unsent work. */
function keepAlive(page: LabelPage): void {
  const { queue } = page.ports;
  setInterval(() => {
    if (document.visibilityState === "visible") void page.extendLease();
  }, LEASE_PING_MS);
  setInterval(() => {
    if (queue.state().pending.length > 0) queue.kick();
  }, QUEUE_KICK_MS);
  window.addEventListener("online", () => queue.kick());
  document.addEventListener("visibilitychange", () => queue.kick());
  window.addEventListener("beforeunload", (event) => {
    if (queue.state().pending.length > 0) event.preventDefault();
  });
}

/** `?image=` names the first image only: after it, a reload goes on with the next one. */
function forgetAskedImage(page: LabelPage): void {
  const askedFor = page.ports.config.image_id;
  if (askedFor === null) return;
  const stop = page.subscribe(() => {
    const shown = page.state().open?.session.image.id;
    if (shown === undefined || shown === askedFor) return;
    history.replaceState(null, "", location.pathname);
    stop();
  });
}

const root = document.getElementById("app");
if (root === null) throw new Error("The page has no #app.");
const page = await makePage(readConfig());
exposeState(page);
keepAlive(page);
forgetAskedImage(page);
createRoot(root).render(
  <StrictMode>
    <App page={page} />
  </StrictMode>,
);
await page.start();
