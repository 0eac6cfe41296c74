// @vitest-environment jsdom
import { beforeEach, expect, it, vi } from "vitest";
import { uploadFile } from "./uploadRequest";
import type { Send, UploadResponse } from "./uploadRequest";
import { startUploads, upload } from "./uploadZone";

beforeEach(() => {
  document.body.innerHTML = `
    <div data-upload="cups">
      <form><input name="csrfmiddlewaretoken" value="token"><input type="file">
        <button data-upload-button>Upload</button></form>
      <div data-upload-report hidden>
        <progress></progress><span data-upload-line></span><ul></ul><ul></ul>
      </div>
    </div>`;
});

const zone = () => document.querySelector<HTMLElement>("[data-upload]")!;
const fileNamed = (name: string) => new File(["x"], name);
const answering =
  (answers: Record<string, UploadResponse>, urls: string[] = []): Send =>
  (url, file, onProgress) => {
    urls.push(url);
    onProgress(1);
    return Promise.resolve(answers[file.name] ?? { status: 201, answer: {} });
  };

it("sends images and archives to their addresses and reports each file", async () => {
  const urls: string[] = [];
  const changed = vi.fn();
  document.addEventListener("project-changed", changed, { once: true });
  const files = ["a.png", "pets.ZIP", "bad.jpg"].map(fileNamed);

  await upload(
    zone(),
    files,
    answering(
      {
        "pets.ZIP": { status: 202, answer: { page_url: "/imports/1/" } },
        "bad.jpg": { status: 422, answer: { refused: [{ message: "no image" }], message: "x" } },
      },
      urls,
    ),
  );

  expect(urls.sort()).toEqual([
    "/api/v1/projects/cups/images",
    "/api/v1/projects/cups/images",
    "/api/v1/projects/cups/imports",
  ]);
  expect(zone().querySelector("[data-upload-line]")!.textContent).toBe("2 of 3 taken, 1 refused.");
  const [refused, taken] = zone().querySelectorAll("ul");
  expect(refused!.querySelector("[data-testid=upload-refused]")!.textContent).toBe(
    "bad.jpg no image",
  );
  expect(taken!.querySelector("a")!.getAttribute("href")).toBe("/imports/1/");
  expect(taken!.textContent).toContain("a.png added");
  expect(changed).toHaveBeenCalledTimes(1);
});

it("keeps the list of added files short", async () => {
  const files = Array.from({ length: 60 }, (_, i) => fileNamed(`${i}.png`));

  await upload(zone(), files, answering({}));

  expect(zone().querySelectorAll("ul")[1]!.childElementCount).toBe(50);
  expect(zone().querySelector("[data-upload-line]")!.textContent).toBe("60 of 60 taken.");
});

it("tries a broken connection three times, and a refusal once", async () => {
  vi.useFakeTimers();
  const send = vi.fn<Send>().mockResolvedValue({ status: 0, answer: {} });
  const broken = uploadFile("cups", fileNamed("a.png"), () => undefined, send);
  await vi.runAllTimersAsync();
  vi.useRealTimers();

  expect(await broken).toEqual({
    kind: "refused",
    message: "the connection broke; try this file again",
  });
  expect(send).toHaveBeenCalledTimes(3);

  send.mockClear().mockResolvedValue({ status: 413, answer: {} });
  expect(await uploadFile("cups", fileNamed("a.png"), () => undefined, send)).toEqual({
    kind: "refused",
    message: "the server answered 413",
  });
  expect(send).toHaveBeenCalledTimes(1);
});

it("hides the form's button and marks the zone while files are dragged over it", () => {
  startUploads(zone());
  expect(zone().querySelector<HTMLElement>("[data-upload-button]")!.hidden).toBe(true);

  zone().dispatchEvent(new Event("dragover", { cancelable: true }));
  expect(zone().classList.contains("over")).toBe(true);
  zone().dispatchEvent(new Event("dragleave"));
  expect(zone().classList.contains("over")).toBe(false);
});
