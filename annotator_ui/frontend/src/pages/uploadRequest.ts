/** Sends one file of an upload, again when the connection breaks. */

const NUM_TRIES = 3;
const RETRY_MS = 1_000;

export interface UploadAnswer {
  readonly page_url?: string;
  readonly message?: string;
  readonly refused?: readonly { readonly message: string }[];
}

/** `status` is 0 when the connection broke. */
export interface UploadResponse {
  readonly status: number;
  readonly answer: UploadAnswer;
}

/** `onProgress` gets the share of the file that has been sent. */
export type Send = (
  url: string,
  file: File,
  onProgress: (share: number) => void,
) => Promise<UploadResponse>;

export type UploadOutcome =
  | { readonly kind: "added" }
  | { readonly kind: "import_started"; readonly pageUrl: string }
  | { readonly kind: "refused"; readonly message: string };

/** Images are uploaded one by one; a zip archive starts an import. */
export async function uploadFile(
  slug: string,
  file: File,
  onProgress: (share: number) => void,
  send: Send,
): Promise<UploadOutcome> {
  const isArchive = file.name.toLowerCase().endsWith(".zip");
  const url = `/api/v1/projects/${slug}/${isArchive ? "imports" : "images"}`;
  for (let attempt = 1; ; attempt += 1) {
    const { status, answer } = await send(url, file, onProgress);
    if (status === 201) return { kind: "added" };
    if (status === 202) return { kind: "import_started", pageUrl: answer.page_url ?? "" };
    if (status !== 0 && status !== 502 && status !== 503) {
      const message = answer.refused?.[0]?.message ?? answer.message;
      return { kind: "refused", message: message ?? `the server answered ${status}` };
    }
    if (attempt === NUM_TRIES) {
      return { kind: "refused", message: "the connection broke; try this file again" };
    }
    await new Promise((resolve) => setTimeout(resolve, attempt * RETRY_MS));
  }
}

/** By XMLHttpRequest, because fetch reports no upload progress. */
export function sendByXhr(csrfToken: string): Send {
  return (url, file, onProgress) => {
    const body = new FormData();
    body.append("file", file);
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("POST", url);
      request.setRequestHeader("X-CSRFToken", csrfToken);
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) onProgress(event.loaded / event.total);
      });
      request.addEventListener("loadend", () =>
        resolve({ status: request.status, answer: parsed(request.responseText) }),
      );
      request.send(body);
    });
  };
}

function parsed(text: string): UploadAnswer {
  try {
    return JSON.parse(text) as UploadAnswer;
  } catch {
    return {}; // a proxy's own error page: the status is enough
  }
}
