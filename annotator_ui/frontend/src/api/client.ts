/** Typed calls to the server; every failure is an ApiError whose kind names what can be done about it. */

import type { PromptRecord } from "../core/editor/document";
import type {
  DecodeOut,
  MaskIn,
  MaskOut,
  RleJson,
  SavedMaskOut,
  SessionOut,
  SuggestionsOut,
} from "./types";

/** `network`, `server`: try again. `signed_out`: sign in, then try again. `not_ready`: wait.
 * `refused`: the request itself is wrong, repeating it changes nothing. */
export type ApiErrorKind = "network" | "server" | "signed_out" | "not_ready" | "refused";

export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly kind: ApiErrorKind,
    message: string,
    readonly details: {
      readonly status: number;
      readonly code: string;
      readonly retryAfterS: number | null;
    },
  ) {
    super(message);
  }
}

export interface ApiOptions {
  readonly base: string;
  /** Read at each call: the cookie changes when the person signs in again in another tab. */
  readonly csrfToken: () => string;
  readonly fetch: typeof fetch;
}

const TIME_LIMITS = { jsonMs: 30_000, bytesMs: 120_000 } as const;
const NOT_READY_CODES = new Set(["not_ready", "embedding_not_ready"]);

export class ApiClient {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /** Lease the next image, or the given one; null when nothing is left to label. */
  async takeNext(projectSlug: string, imageId: string | null): Promise<SessionOut | null> {
    const body = imageId === null ? {} : { image_id: imageId };
    return this.#json<SessionOut | null>(
      "POST",
      `/projects/${encodeURIComponent(projectSlug)}/assignments/next`,
      body,
    );
  }

  async extendLease(assignmentId: string): Promise<void> {
    await this.#json("POST", `/assignments/${assignmentId}/extend`, {});
  }

  async submit(assignmentId: string, numLeftOut: number): Promise<void> {
    await this.#json("POST", `/assignments/${assignmentId}/submit`, { num_left_out: numLeftOut });
  }

  async skip(assignmentId: string, reason: string, numLeftOut: number): Promise<void> {
    await this.#json("POST", `/assignments/${assignmentId}/skip`, {
      reason,
      num_left_out: numLeftOut,
    });
  }

  saveMask(assignmentId: string, mask: MaskIn): Promise<SavedMaskOut> {
    return this.#json("POST", `/assignments/${assignmentId}/masks`, mask);
  }

  setMaskStatus(maskId: string, to: "accepted" | "rejected"): Promise<MaskOut> {
    return this.#json("POST", `/masks/${maskId}/${to === "accepted" ? "accept" : "reject"}`, {});
  }

  decode(
    imageId: string,
    question: {
      model_version_id: string;
      encoder_sha256: string;
      prompts: readonly PromptRecord[];
      base_mask?: RleJson;
    },
  ): Promise<DecodeOut> {
    return this.#json("POST", `/images/${imageId}/decode`, question);
  }

  /** Every mask of the image, rejected ones too. */
  masksOf(imageId: string): Promise<readonly MaskOut[]> {
    return this.#json("GET", `/images/${imageId}/masks`, null);
  }

  /** Ask for suggestions on the whole image, read their state, or cancel them. */
  suggestions(imageId: string, what: "ask" | "state" | "cancel"): Promise<SuggestionsOut> {
    const path = `/images/${imageId}/suggestions`;
    if (what === "state") return this.#json("GET", path, null);
    return this.#json("POST", what === "ask" ? path : `${path}/cancel`, {});
  }

  /** Sign in again without leaving the page. Throws an ApiError with the reason. */
  async signIn(url: string, userName: string, password: string): Promise<void> {
    const { fetch: send, csrfToken } = this.#options;
    const body = new URLSearchParams({ username: userName, password });
    const headers = { "X-CSRFToken": csrfToken() };
    const response = await this.#read(() =>
      send(url, {
        method: "POST",
        headers,
        body,
        credentials: "same-origin",
        signal: AbortSignal.timeout(TIME_LIMITS.jsonMs),
      }),
    );
    // The form answers 200 with itself when it refuses, and redirects when it lets in.
    if (response.redirected) return;
    const message = response.ok
      ? "The password is not right."
      : `The server answered ${response.status}.`;
    throw new ApiError("signed_out", message, {
      status: response.status,
      code: "sign_in",
      retryAfterS: null,
    });
  }

  /** Image, embedding or decoder bytes from an address the server gave. */
  async bytes(url: string): Promise<ArrayBuffer> {
    const response = await this.#send("GET", url, null, TIME_LIMITS.bytesMs);
    return this.#read(() => response.arrayBuffer());
  }

  async blob(url: string): Promise<Blob> {
    const response = await this.#send("GET", url, null, TIME_LIMITS.bytesMs);
    return this.#read(() => response.blob());
  }

  async #json<Answer>(method: "GET" | "POST", path: string, body: object | null): Promise<Answer> {
    const text = body === null ? null : JSON.stringify(body);
    const response = await this.#send(method, this.#options.base + path, text, TIME_LIMITS.jsonMs);
    // 204 is the one answer without a body; only `takeNext` can get it.
    if (response.status === 204) return null as Answer;
    return this.#read(async () => (await response.json()) as Answer);
  }

  async #send(
    method: string,
    url: string,
    body: string | null,
    limitMs: number,
  ): Promise<Response> {
    const { fetch: send, csrfToken } = this.#options;
    const headers: Record<string, string> = { Accept: "application/json" };
    if (method !== "GET") {
      headers["Content-Type"] = "application/json";
      headers["X-CSRFToken"] = csrfToken();
    }
    const response = await this.#read(() =>
      send(url, {
        method,
        headers,
        body,
        credentials: "same-origin",
        signal: AbortSignal.timeout(limitMs),
      }),
    );
    if (!response.ok) throw await failureOf(response);
    return response;
  }

  /** A body cut off half way is the same trouble as a server that cannot be reached. */
  async #read<Value>(receive: () => Promise<Value>): Promise<Value> {
    try {
      return await receive();
    } catch (error) {
      const reason =
        error instanceof DOMException && error.name === "TimeoutError"
          ? "did not answer in time"
          : "cannot be reached";
      throw new ApiError("network", `The server ${reason}.`, {
        status: 0,
        code: "network",
        retryAfterS: null,
      });
    }
  }
}

async function failureOf(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => ({}))) as { code?: unknown; message?: unknown };
  const code = typeof body.code === "string" ? body.code : `http_${response.status}`;
  const message =
    typeof body.message === "string" ? body.message : `The server answered ${response.status}.`;
  const retryAfter = Number(response.headers.get("Retry-After") ?? NaN);
  return new ApiError(kindOf(response.status, code), message, {
    status: response.status,
    code,
    retryAfterS: Number.isFinite(retryAfter) ? retryAfter : null,
  });
}

function kindOf(status: number, code: string): ApiErrorKind {
  if (status === 401 || code === "csrf_failed") return "signed_out";
  if (status >= 500 || status === 408 || status === 429) return "server";
  if (status === 409 && NOT_READY_CODES.has(code)) return "not_ready";
  return "refused";
}
