/** Entry of the jobs page: moves its progress bars. Without it the page shows them as when loaded. */

import { showProgress } from "./jobProgress";
import type { JobProgress } from "./jobProgress";

const POLL_MS = 2_000;

/** Poll the running and waiting jobs for as long as the page is open. */
export function watchJobs(slug: string): void {
  const poll = async (): Promise<void> => {
    try {
      const url = `/api/v1/projects/${slug}/jobs?status=running&status=waiting`;
      const response = await fetch(url);
      if (response.ok) ((await response.json()) as readonly JobProgress[]).forEach(showProgress);
    } catch {
      // Offline: the next round tries again.
    }
    setTimeout(() => void poll(), POLL_MS);
  };
  setTimeout(() => void poll(), POLL_MS);
}

const slug = document.querySelector<HTMLElement>("[data-project]")?.dataset["project"];
if (slug !== undefined && document.querySelector("[data-job-bar]") !== null) watchJobs(slug);
