/** Keeps a project page current without a reload. The page works without it: every button is a form. */

import { showProgress } from "./jobProgress";
import type { JobProgress } from "./jobProgress";

const BUSY_MS = 1_500;
const IDLE_MS = 4_000;

interface ProjectStatus {
  readonly revision: string;
  readonly running_jobs: readonly JobProgress[];
}

/** Take over the live parts of a freshly rendered page; a part being typed in is left alone.
 * Returns whether every part that changed was taken over. */
export function takeOver(fresh: ParentNode): boolean {
  let isComplete = true;
  for (const part of document.querySelectorAll<HTMLElement>("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${part.dataset["live"] ?? ""}"]`);
    if (next === null || withoutTokens(next.innerHTML) === withoutTokens(part.innerHTML)) continue;
    const isInUse = part.contains(document.activeElement);
    if (isInUse || part.querySelector("details[open]") !== null) {
      isComplete = false;
      continue;
    }
    part.replaceChildren(...next.childNodes);
  }
  return isComplete;
}

/** CSRF tokens differ at every rendering. */
function withoutTokens(html: string): string {
  return html.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "");
}

/** Follow the project's revision: poll it, and take over the live parts whenever it changed. */
export class LiveParts {
  readonly #page: HTMLElement;
  readonly #slug: string;
  #revision: string;

  constructor(page: HTMLElement) {
    this.#page = page;
    this.#slug = page.dataset["project"] ?? "";
    this.#revision = page.dataset["revision"] ?? "";
  }

  start(): void {
    document.addEventListener("project-changed", () => void this.#refresh(this.#revision));
    this.#next();
  }

  #next(): void {
    if (document.hidden) {
      document.addEventListener("visibilitychange", () => this.#next(), { once: true });
    } else {
      void this.#poll();
    }
  }

  async #poll(): Promise<void> {
    let waitMs = IDLE_MS;
    try {
      const response = await fetch(`/api/v1/projects/${this.#slug}`);
      if (response.status === 401) {
        location.reload();
        return;
      }
      if (response.ok && (await this.#follow((await response.json()) as ProjectStatus))) {
        waitMs = BUSY_MS;
      }
      this.#page.classList.toggle("stale", !response.ok);
    } catch {
      this.#page.classList.add("stale"); // offline: the next round tries again
    }
    setTimeout(() => this.#next(), waitMs);
  }

  /** Returns whether jobs are running. */
  async #follow(project: ProjectStatus): Promise<boolean> {
    if (project.revision !== this.#revision) await this.#refresh(project.revision);
    project.running_jobs.forEach(showProgress);
    return project.running_jobs.length > 0;
  }

  async #refresh(nextRevision: string): Promise<void> {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok || response.redirected) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    if (takeOver(fresh)) this.#revision = nextRevision;
  }
}
