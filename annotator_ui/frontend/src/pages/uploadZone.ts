/** Uploads many files from a project page, with a report of each. Without it the same form posts on its
 * own; by keyboard the file input is all one needs. */

import { filesOf } from "./droppedFiles";
import { sendByXhr, uploadFile } from "./uploadRequest";
import type { Send, UploadOutcome } from "./uploadRequest";

const NUM_AT_ONCE = 3;
const MAX_ADDED_SHOWN = 50;

export function startUploads(zone: HTMLElement): void {
  const input = find(zone, "input[type=file]", HTMLInputElement);
  find(zone, "[data-upload-button]", HTMLElement).hidden = true;
  const token = find(zone, "[name=csrfmiddlewaretoken]", HTMLInputElement).value;
  let last: Promise<void> = Promise.resolve();
  const enqueue = (files: readonly File[]): void => {
    if (files.length > 0) last = last.then(() => upload(zone, files, sendByXhr(token)));
  };
  input.addEventListener("change", () => {
    enqueue([...(input.files ?? [])]);
    input.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  zone.addEventListener("dragleave", (event) => {
    if (!zone.contains(event.relatedTarget as Node | null)) zone.classList.remove("over");
  });
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const { dataTransfer } = event;
    if (dataTransfer !== null) void filesOf(dataTransfer).then(enqueue);
  });
}

/** Upload the files, a few at once, and show how each fared. */
export async function upload(zone: HTMLElement, files: readonly File[], send: Send): Promise<void> {
  const slug = zone.dataset["upload"] ?? "";
  const report = new UploadReport(zone, files.length);
  const waiting = [...files];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const row = report.addRow(file);
      report.finishRow(row, await uploadFile(slug, file, (share) => row.progress(share), send));
    }
  };
  await Promise.all(Array.from({ length: NUM_AT_ONCE }, worker));
  report.finish();
  document.dispatchEvent(new CustomEvent("project-changed"));
}

class UploadReport {
  readonly #line: HTMLElement;
  readonly #bar: HTMLProgressElement;
  readonly #refusedList: HTMLElement;
  readonly #list: HTMLElement;
  readonly #numFiles: number;
  #numDone = 0;
  #numRefused = 0;

  constructor(zone: HTMLElement, numFiles: number) {
    const report = find(zone, "[data-upload-report]", HTMLElement);
    const [refusedList, list] = report.querySelectorAll("ul");
    if (refusedList === undefined || list === undefined)
      throw new Error("The report has no lists.");
    this.#line = find(report, "[data-upload-line]", HTMLElement);
    this.#bar = find(report, "progress", HTMLProgressElement);
    this.#refusedList = refusedList;
    this.#list = list;
    this.#numFiles = numFiles;
    report.hidden = false;
    this.#bar.hidden = false;
    this.#bar.max = numFiles;
    refusedList.replaceChildren();
    list.replaceChildren();
    this.#show();
  }

  addRow(file: File): UploadRow {
    const row = new UploadRow(file.name);
    this.#list.append(row.item);
    return row;
  }

  finishRow(row: UploadRow, outcome: UploadOutcome): void {
    row.finish(outcome);
    this.#numDone += 1;
    if (outcome.kind === "refused") {
      this.#numRefused += 1;
      this.#refusedList.append(row.item);
    } else if (outcome.kind === "added" && this.#list.childElementCount > MAX_ADDED_SHOWN) {
      row.item.remove();
    }
    this.#show();
  }

  finish(): void {
    this.#bar.hidden = true;
  }

  #show(): void {
    const [done, all] = [this.#numDone, this.#numFiles];
    const refused = this.#numRefused > 0 ? `, ${this.#numRefused} refused` : "";
    this.#bar.value = done;
    this.#line.textContent =
      done < all
        ? `Uploading: ${done} of ${all}${refused}`
        : `${all - this.#numRefused} of ${all} taken${refused}.`;
  }
}

class UploadRow {
  readonly item = element("li", "", "upload-row");
  readonly #bar = element("progress");
  readonly #text = element("span");

  constructor(fileName: string) {
    this.#bar.max = 1;
    this.#bar.setAttribute("aria-label", `Progress of ${fileName}`);
    this.item.append(element("strong", fileName), " ", this.#bar, this.#text);
  }

  progress(share: number): void {
    this.#bar.value = share;
    if (share === 1) this.#bar.removeAttribute("value"); // being decoded
  }

  finish(outcome: UploadOutcome): void {
    this.#bar.remove();
    switch (outcome.kind) {
      case "added":
        this.#text.textContent = "added";
        return;
      case "import_started": {
        const link = element("a", "import started", "upload-import");
        link.href = outcome.pageUrl;
        this.#text.replaceChildren(link);
        return;
      }
      case "refused":
        this.item.dataset["testid"] = "upload-refused";
        this.#text.textContent = outcome.message;
    }
  }
}

function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  text = "",
  testId = "",
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  node.textContent = text;
  if (testId !== "") node.dataset["testid"] = testId;
  return node;
}

function find<Found extends Element>(
  within: ParentNode,
  selector: string,
  type: new () => Found,
): Found {
  const found = within.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`The page has no ${selector}.`);
  return found;
}
