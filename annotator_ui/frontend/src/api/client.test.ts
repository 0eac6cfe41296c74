import { expect, it } from "vitest";
import { ApiClient, ApiError } from "./client";

function clientFor(answer: (url: string, init: RequestInit) => Response | Promise<Response>) {
  const calls: { url: string; init: RequestInit }[] = [];
  const client = new ApiClient({
    base: "/api/v1",
    csrfToken: () => "token",
    fetch: (url, init) => {
      calls.push({ url: url as string, init: init ?? {} });
      return Promise.resolve().then(() => answer(url as string, init ?? {}));
    },
  });
  return { client, calls };
}

const failure = async (promise: Promise<unknown>): Promise<ApiError> => {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApiError)) throw new Error("did not fail with an ApiError");
  return error;
};

it("sends JSON with the CSRF token and asks for a given image", async () => {
  const { client, calls } = clientFor(() => Response.json({ assignment_id: "a" }));

  await client.takeNext("my-project", "image-1");

  expect(calls[0]?.url).toBe("/api/v1/projects/my-project/assignments/next");
  expect(calls[0]?.init.body).toBe('{"image_id":"image-1"}');
  expect(calls[0]?.init.headers).toMatchObject({
    "X-CSRFToken": "token",
    "Content-Type": "application/json",
  });
});

it("knows that 204 means nothing is left", async () => {
  const { client } = clientFor(() => new Response(null, { status: 204 }));

  expect(await client.takeNext("p", null)).toBeNull();
});

it.each([
  [401, "not_signed_in", "signed_out"],
  [403, "csrf_failed", "signed_out"],
  [403, "not_allowed", "refused"],
  [409, "not_ready", "not_ready"],
  [409, "outdated_embedding", "refused"],
  [422, "invalid_rle", "refused"],
  [429, "too_many", "server"],
  [503, "database_away", "server"],
] as const)("takes %i %s as %s", async (status, code, kind) => {
  const { client } = clientFor(() =>
    Response.json({ code, message: "why" }, { status, headers: { "Retry-After": "7" } }),
  );

  const error = await failure(client.submit("a", 0));

  expect([error.kind, error.details.code, error.message, error.details.retryAfterS]).toEqual([
    kind,
    code,
    "why",
    7,
  ]);
});

it("takes a dead network and a page that is not JSON as something to try again", async () => {
  const dead = clientFor(() => Promise.reject(new TypeError("Failed to fetch")));
  const html = clientFor(() => new Response("<h1>Bad gateway</h1>", { status: 502 }));

  expect((await failure(dead.client.submit("a", 0))).kind).toBe("network");
  expect(await failure(html.client.submit("a", 0))).toMatchObject({
    kind: "server",
    message: "The server answered 502.",
  });
});

it("passes bytes through", async () => {
  const { client } = clientFor(() => new Response(Uint8Array.of(1, 2, 3)));

  expect(new Uint8Array(await client.bytes("/api/v1/images/1/embedding"))).toEqual(
    Uint8Array.of(1, 2, 3),
  );
});
