/** The view of the image: screen = image * scale + offset. Pure functions over a small value. */

import { imagePoint, screenPoint } from "./geometry";
import type { ImageBox, ImagePoint, ScreenPoint, Size } from "./geometry";
import { OPTIONS } from "../options";

export interface Camera {
  readonly scale: number;
  readonly offsetX: number;
  readonly offsetY: number;
}

export function imageToScreen(camera: Camera, point: ImagePoint): ScreenPoint {
  return screenPoint(
    point.x * camera.scale + camera.offsetX,
    point.y * camera.scale + camera.offsetY,
  );
}

export function screenToImage(camera: Camera, point: ScreenPoint): ImagePoint {
  return imagePoint(
    (point.x - camera.offsetX) / camera.scale,
    (point.y - camera.offsetY) / camera.scale,
  );
}

/** Zoom by a factor; the image point under `at` stays under it. */
export function zoomAt(camera: Camera, at: ScreenPoint, factor: number): Camera {
  const scale = Math.min(OPTIONS.maxScale, Math.max(OPTIONS.minScale, camera.scale * factor));
  const kept = screenToImage(camera, at);
  return { scale, offsetX: at.x - kept.x * scale, offsetY: at.y - kept.y * scale };
}

export function panBy(camera: Camera, dxPx: number, dyPx: number): Camera {
  return { ...camera, offsetX: camera.offsetX + dxPx, offsetY: camera.offsetY + dyPx };
}

/** Zoom around the middle of the view, for keys and buttons. */
export function zoomStep(camera: Camera, viewport: Size, factor: number): Camera {
  return zoomAt(camera, screenPoint(viewport.widthPx / 2, viewport.heightPx / 2), factor);
}

/** The whole image, centred, with a margin. */
export function fit(image: Size, viewport: Size): Camera {
  const free = (side: number): number => Math.max(1, side - 2 * OPTIONS.fitMarginPx);
  const scale = Math.min(
    free(viewport.widthPx) / image.widthPx,
    free(viewport.heightPx) / image.heightPx,
  );
  return centred(image, viewport, Math.min(OPTIONS.maxScale, Math.max(OPTIONS.minScale, scale)));
}

/** One image pixel per screen pixel, around the centre of the current view. */
export function oneToOne(camera: Camera, viewport: Size): Camera {
  return zoomStep(camera, viewport, 1 / camera.scale);
}

/** Keep the scale but bring a box into view when its centre is off screen. */
export function reveal(camera: Camera, box: ImageBox, viewport: Size): Camera {
  if (viewport.widthPx === 0 || viewport.heightPx === 0) return camera;
  const centre = imageToScreen(camera, imagePoint((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2));
  const isVisible =
    centre.x >= 0 && centre.y >= 0 && centre.x <= viewport.widthPx && centre.y <= viewport.heightPx;
  if (isVisible) return camera;
  return panBy(camera, viewport.widthPx / 2 - centre.x, viewport.heightPx / 2 - centre.y);
}

function centred(image: Size, viewport: Size, scale: number): Camera {
  return {
    scale,
    offsetX: (viewport.widthPx - image.widthPx * scale) / 2,
    offsetY: (viewport.heightPx - image.heightPx * scale) / 2,
  };
}
