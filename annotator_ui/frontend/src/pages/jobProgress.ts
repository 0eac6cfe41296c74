/** Progress bars of running jobs: the rows that the server rendered, moved along by the API's answers. */

export interface JobProgress {
  readonly id: string;
  readonly progress_pct: number;
  readonly progress_line: string;
}

export function showProgress(job: JobProgress): void {
  const row = document.querySelector(`[data-job="${job.id}"]`);
  if (row === null) return;
  row.querySelector("[data-job-bar]")?.setAttribute("value", String(job.progress_pct));
  const text = row.querySelector("[data-job-text]");
  if (text !== null) text.textContent = job.progress_line;
}
