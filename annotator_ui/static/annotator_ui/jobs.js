// Moves the progress bars of the jobs page. Without it the page shows them as they were when loaded.

const POLL_MS = 2000;
const slug = document.querySelector("[data-project]").dataset.project;

function show(job) {
  const row = document.querySelector(`[data-job="${job.id}"]`);
  if (row === null) return;
  row.querySelector("[data-job-bar]")?.setAttribute("value", String(job.progress_pct));
  const text = row.querySelector("[data-job-text]");
  if (text !== null) text.textContent = job.progress_line;
}

async function poll() {
  try {
    const response = await fetch(`/api/v1/projects/${slug}/jobs?status=running&status=waiting`);
    if (response.ok) (await response.json()).forEach(show);
  } catch {
    // offline: the next round tries again
  }
  setTimeout(poll, POLL_MS);
}

if (document.querySelector("[data-job-bar]") !== null) setTimeout(poll, POLL_MS);
