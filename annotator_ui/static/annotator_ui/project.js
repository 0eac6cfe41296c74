// Keeps a project page current without a reload, and uploads many photos.
// The page works without it: every button is a form and the file input posts on its own.

const BUSY_MS = 1500;
const IDLE_MS = 4000;
const UPLOADS_AT_ONCE = 2;

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

// --- uploads ------------------------------------------------------------------------------------

const zone = document.querySelector("[data-upload]");

function element(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

async function sendOne(file) {
  const body = new FormData();
  body.append("file", file);
  const token = zone.querySelector("[name=csrfmiddlewaretoken]").value;
  const headers = { "X-CSRFToken": token };
  try {
    const response = await fetch(`/api/v1/projects/${slug}/images`, { method: "POST", body, headers });
    if (response.status === 201) return null;
    const answer = await response.json();
    const refused = answer.refused?.[0]?.message;
    return refused ?? answer.message ?? `the server answered ${response.status}`;
  } catch {
    return "the connection broke; try this file again";
  }
}

async function upload(files) {
  const report = zone.querySelector("[data-upload-report]");
  const bar = report.querySelector("progress");
  const line = report.querySelector("[data-upload-line]");
  const list = report.querySelector("ul");
  const waiting = [...files];
  const total = waiting.length;
  let done = 0;
  let refused = 0;
  report.hidden = false;
  bar.hidden = false;
  bar.max = total;
  list.replaceChildren();
  const tell = () => {
    bar.value = done;
    const bad = refused > 0 ? `, ${refused} refused` : "";
    line.textContent =
      done < total ? `Uploading: ${done} of ${total}${bad}` : `${total - refused} of ${total} photos added${bad}.`;
  };
  tell();
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const problem = await sendOne(file);
      done += 1;
      if (problem !== null) {
        refused += 1;
        const item = element("li", `: ${problem}`);
        item.prepend(element("strong", file.name));
        item.dataset.testid = "upload-refused";
        list.append(item);
      }
      tell();
    }
  };
  await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, worker));
  bar.hidden = true;
  await refresh(revision);
}

if (zone !== null) {
  const input = zone.querySelector("input[type=file]");
  zone.querySelector("[data-upload-button]").hidden = true;
  input.addEventListener("change", async () => {
    if (input.files.length > 0) await upload(input.files);
    input.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  zone.addEventListener("dragleave", (event) => {
    if (!zone.contains(event.relatedTarget)) zone.classList.remove("over");
  });
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const files = [...event.dataTransfer.files].filter((file) => file.size > 0);
    if (files.length > 0) void upload(files);
  });
}

next();
