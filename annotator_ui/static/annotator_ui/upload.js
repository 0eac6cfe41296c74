// Uploads many files from a project page: photos one by one, zip archives as imports.
// Without it the same form posts on its own; by keyboard the file input is all one needs.

const AT_ONCE = 3;
const TRIES = 3;
const RETRY_MS = 1000;
const MAX_ADDED_SHOWN = 50;

const zone = document.querySelector("[data-upload]");

function element(tag, text = "", testid = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  if (testid !== "") node.dataset.testid = testid;
  return node;
}

/** Names and files of what was dropped, folders walked through. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files];
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (entry.isFile) {
    found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const inner of some) await walk(inner, found);
  }
}

/** One request; resolves with {status, answer}, status 0 when the connection broke. */
function send(url, file, onPart) {
  const body = new FormData();
  body.append("file", file);
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("X-CSRFToken", zone.querySelector("[name=csrfmiddlewaretoken]").value);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onPart(event.loaded / event.total);
    });
    request.addEventListener("loadend", () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // a proxy's own error page: the status says enough
      }
      resolve({ status: request.status, answer });
    });
    request.send(body);
  });
}

/** Send a file, again when the connection breaks. Returns what went wrong, or null. */
async function sendOne(file, row) {
  const isArchive = file.name.toLowerCase().endsWith(".zip");
  const url = `/api/v1/projects/${zone.dataset.upload}/${isArchive ? "imports" : "images"}`;
  for (let attempt = 1; ; attempt += 1) {
    const { status, answer } = await send(url, file, (part) => {
      row.bar.value = part;
      if (part === 1) row.bar.removeAttribute("value"); // being decoded
    });
    if (status === 201) return null;
    if (status === 202) {
      const link = element("a", "import started", "upload-import");
      link.href = answer.page_url;
      row.said.replaceChildren(link);
      return null;
    }
    if (status !== 0 && status !== 502 && status !== 503) {
      return answer.refused?.[0]?.message ?? answer.message ?? `the server answered ${status}`;
    }
    if (attempt === TRIES) return "the connection broke; try this file again";
    await new Promise((resolve) => setTimeout(resolve, attempt * RETRY_MS));
  }
}

function newRow(list, file) {
  const item = element("li", "", "upload-row");
  const bar = element("progress");
  const said = element("span");
  bar.max = 1;
  bar.setAttribute("aria-label", `Progress of ${file.name}`);
  item.append(element("strong", file.name), " ", bar, said);
  list.append(item);
  return { item, bar, said };
}

async function upload(files) {
  const report = zone.querySelector("[data-upload-report]");
  const line = report.querySelector("[data-upload-line]");
  const bar = report.querySelector("progress");
  const [bad, list] = report.querySelectorAll("ul");
  const waiting = [...files];
  const total = waiting.length;
  let done = 0;
  let refused = 0;
  report.hidden = false;
  bar.hidden = false;
  bar.max = total;
  bad.replaceChildren();
  list.replaceChildren();
  const tell = () => {
    const lost = refused > 0 ? `, ${refused} refused` : "";
    bar.value = done;
    line.textContent =
      done < total ? `Uploading: ${done} of ${total}${lost}` : `${total - refused} of ${total} taken${lost}.`;
  };
  tell();
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const row = newRow(list, file);
      const problem = await sendOne(file, row);
      row.bar.remove();
      done += 1;
      if (problem !== null) {
        refused += 1;
        row.item.dataset.testid = "upload-refused";
        row.said.textContent = problem;
        bad.append(row.item);
      } else if (row.said.textContent === "") {
        row.said.textContent = "added";
        if (list.childElementCount > MAX_ADDED_SHOWN) row.item.remove();
      }
      tell();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  bar.hidden = true;
  document.dispatchEvent(new CustomEvent("project-changed"));
}

if (zone !== null) {
  const input = zone.querySelector("input[type=file]");
  zone.querySelector("[data-upload-button]").hidden = true;
  let busy = Promise.resolve();
  const enqueue = (files) => {
    if (files.length > 0) busy = busy.then(() => upload(files));
  };
  input.addEventListener("change", () => {
    enqueue([...input.files]);
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
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    enqueue(await filesOf(event.dataTransfer));
  });
}
