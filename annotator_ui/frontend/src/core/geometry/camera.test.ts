import { expect, it } from "vitest";
import { fit, imageToScreen, oneToOne, reveal, screenToImage, zoomAt } from "./camera";
import { imagePoint, screenPoint } from "./geometry";
import { OPTIONS } from "../options";

const image = { widthPx: 400, heightPx: 200 };
const viewport = { widthPx: 800, heightPx: 800 };

it("fits the image centred with its margin", () => {
  const camera = fit(image, viewport);

  // The width decides: (800 - 2 * 24) / 400 = 1.88.
  expect(camera.scale).toBeCloseTo((800 - 2 * OPTIONS.fitMarginPx) / 400);
  expect(imageToScreen(camera, imagePoint(200, 100))).toEqual({ x: 400, y: 400 });
});

it("keeps the pixel under the cursor while zooming", () => {
  const cursor = screenPoint(123, 456);
  const before = fit(image, viewport);

  const after = zoomAt(before, cursor, 3);

  expect(screenToImage(after, cursor).x).toBeCloseTo(screenToImage(before, cursor).x);
  expect(screenToImage(after, cursor).y).toBeCloseTo(screenToImage(before, cursor).y);
});

it("stops zooming at its limits", () => {
  expect(zoomAt(fit(image, viewport), screenPoint(0, 0), 1e9).scale).toBe(OPTIONS.maxScale);
  expect(zoomAt(fit(image, viewport), screenPoint(0, 0), 1e-9).scale).toBe(OPTIONS.minScale);
});

it("shows pixels one to one around the centre of the view", () => {
  const camera = oneToOne(fit(image, viewport), viewport);

  expect(camera.scale).toBeCloseTo(1);
  expect(imageToScreen(camera, imagePoint(200, 100)).x).toBeCloseTo(400);
});

it("moves only when the revealed box is out of sight", () => {
  const camera = fit(image, viewport);

  expect(reveal(camera, { x0: 10, y0: 10, x1: 20, y1: 20 }, viewport)).toBe(camera);
  const moved = reveal({ ...camera, offsetX: -5000 }, { x0: 10, y0: 10, x1: 20, y1: 20 }, viewport);
  expect(imageToScreen(moved, imagePoint(15, 15)).x).toBeCloseTo(400);
});
