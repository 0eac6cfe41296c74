// Keeps a project page current without a reload. The page works without it: every button is a form.

const BUSY_MS = 1500;
const IDLE_MS = 4000;

const page = document.querySelector("[data-project]");
const slug = page.dataset.project;
let revision = page.dataset.revision;

// --- live figures -------------------------------------------------------------------------------

function showProgress(job) {
  const row = document.querySelector(`[data-job="${job.id}"]`);
  if (row === null) return;
  row.querySelector("[data-job-bar]")?.setAttribute("value", String(job.progress_pct));
  const text = row.querySelector("[data-job-text]");
  if (text !== null) text.textContent = job.progress_line;
}

function withoutTokens(html) {
  return html.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "");
}

/** Take over the live parts of a freshly rendered page; a part being typed in is left alone. */
function takeOver(fresh) {
  let complete = true;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    if (next === null || withoutTokens(next.innerHTML) === withoutTokens(part.innerHTML)) continue;
    if (part.contains(document.activeElement) || part.querySelector("details[open]") !== null) {
      complete = false;
      continue;
    }
    part.replaceChildren(...next.childNodes);
  }
  return complete;
}

async function refresh(nextRevision) {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  if (takeOver(fresh)) revision = nextRevision;
}

async function poll() {
  let wait = IDLE_MS;
  try {
    const response = await fetch(`/api/v1/projects/${slug}`);
    if (response.status === 401) {
      location.reload();
      return;
    }
    if (response.ok) {
      const project = await response.json();
      if (project.revision !== revision) await refresh(project.revision);
      project.running_jobs.forEach(showProgress);
      if (project.running_jobs.length > 0) wait = BUSY_MS;
    }
    page.classList.toggle("stale", !response.ok);
  } catch {
    page.classList.add("stale"); // offline: the next round tries again
  }
  setTimeout(next, wait);
}

function next() {
  if (document.hidden) document.addEventListener("visibilitychange", next, { once: true });
  else void poll();
}

document.addEventListener("project-changed", () => void refresh(revision)); // see upload.js
next();
