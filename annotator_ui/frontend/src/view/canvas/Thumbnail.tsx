/** A thumbnail of one mask: the image around it, the mask in its colour. */

import { useEffect, useRef } from "react";
import { contourOf, strideFor } from "../../core/mask/contour";
import { boundsOf } from "../../core/mask/rle";
import type { Rle } from "../../core/mask/rle";

const SIDE_PX = 40;
const AIR = 0.12;

interface ThumbnailProps {
  readonly rle: Rle;
  readonly colour: string;
  readonly bitmap: ImageBitmap | null;
  readonly isDashed: boolean;
}

export function Thumbnail({ rle, colour, bitmap, isDashed }: ThumbnailProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return undefined;
    // Drawn when the row comes into view: a list of hundreds costs what one screenful costs.
    const observer = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting !== true) return;
      observer.disconnect();
      draw(element, rle, colour, bitmap);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [rle, colour, bitmap]);
  return (
    <canvas
      ref={canvas}
      className={isDashed ? "thumb dashed" : "thumb"}
      width={SIDE_PX * 2}
      height={SIDE_PX * 2}
      aria-hidden="true"
    />
  );
}

function draw(
  canvas: HTMLCanvasElement,
  rle: Rle,
  colour: string,
  bitmap: ImageBitmap | null,
): void {
  const context = canvas.getContext("2d");
  const bounds = boundsOf(rle);
  if (context === null || bounds === null) return;
  const side = Math.max(bounds.x1 - bounds.x0, bounds.y1 - bounds.y0) * (1 + 2 * AIR);
  const scale = canvas.width / side;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(
    scale,
    0,
    0,
    scale,
    canvas.width / 2 - (scale * (bounds.x0 + bounds.x1)) / 2,
    canvas.height / 2 - (scale * (bounds.y0 + bounds.y1)) / 2,
  );
  if (bitmap !== null) context.drawImage(bitmap, 0, 0);
  context.beginPath();
  for (const loop of contourOf(rle, strideFor(scale))) {
    for (let i = 0; i < loop.length; i += 2) {
      if (i === 0) context.moveTo(loop[i] ?? 0, loop[i + 1] ?? 0);
      else context.lineTo(loop[i] ?? 0, loop[i + 1] ?? 0);
    }
    context.closePath();
  }
  context.fillStyle = colour;
  context.globalAlpha = 0.45;
  context.fill("evenodd");
  context.globalAlpha = 1;
  context.lineWidth = 3 / scale;
  context.strokeStyle = colour;
  context.stroke();
}
