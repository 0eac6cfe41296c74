/** Draws the photo, the masks and the prompts on three stacked canvases, in image coordinates. */

import { contourOf } from "../core/contour";
import { isEmptyDraft } from "../core/document";
import type { MaskItem } from "../core/document";
import type { Editor } from "../core/editor";
import type { EditorState } from "../core/editorState";
import { imageToScreen } from "../core/camera";
import { imagePoint } from "../core/geometry";
import type { ScreenPoint, Size } from "../core/geometry";
import type { Prompt } from "../core/prompts";
import { boundsOf, forEachRun } from "../core/rle";
import type { Rle } from "../core/rle";
import { COLOURS, maskColour } from "./palette";

export interface Layers {
  readonly photo: HTMLCanvasElement;
  readonly masks: HTMLCanvasElement;
  readonly prompts: HTMLCanvasElement;
}

interface Sprite {
  readonly image: HTMLCanvasElement;
  readonly x: number;
  readonly y: number;
}

/** `background`: kept masks step back while another one is being made. */
const FILL_ALPHA = { accepted: 0.38, proposed: 0.16, background: 0.14, draft: 0.45, selected: 0.55 } as const;
const LINE_PX = { normal: 1.5, selected: 3, halo: 2 } as const;
const DASH_PX = [7, 5] as const;
const POINT_RADIUS_PX = 7;

export class Renderer {
  readonly #layers: Layers;
  readonly #sprites = new WeakMap<Rle, Map<string, Sprite>>();
  readonly #paths = new WeakMap<Rle, Path2D>();
  #frame = 0;
  /** What each layer shows, so that only changed layers are painted again. */
  #shown: { readonly photo: readonly unknown[]; readonly masks: readonly unknown[] } = { photo: [], masks: [] };

  constructor(layers: Layers) {
    this.#layers = layers;
  }

  /** Paint at the next animation frame; more calls before it cost nothing. */
  schedule(scene: () => { editor: Editor; photo: ImageBitmap | null; pointer: ScreenPoint | null }): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const { editor, photo, pointer } = scene();
      this.#paint(editor, photo, pointer);
    });
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #paint(editor: Editor, photo: ImageBitmap | null, pointer: ScreenPoint | null): void {
    const state = editor.state();
    if (state.viewport.widthPx === 0) return;
    const { camera, viewport, document, selectedMaskId, areMasksHidden } = state;
    const photoKey = [camera, viewport, photo, devicePixelRatio];
    const base = document.draft.base;
    const isDrafting = !isEmptyDraft(document.draft);
    const masksKey = [camera, viewport, document.masks, base, isDrafting, selectedMaskId, areMasksHidden, devicePixelRatio];
    if (isChanged(this.#shown.photo, photoKey)) this.#paintPhoto(state, photo, editor.image);
    if (isChanged(this.#shown.masks, masksKey)) this.#paintMasks(state);
    this.#shown = { photo: photoKey, masks: masksKey };
    this.#paintPrompts(editor, pointer);
  }

  #paintPhoto(state: EditorState, photo: ImageBitmap | null, image: Size): void {
    const context = prepared(this.#layers.photo, state.viewport);
    toImageFrame(context, state);
    // Enlarged pixels are shown as they are: an annotator must see where the edge really is.
    context.imageSmoothingEnabled = state.camera.scale < 3;
    context.imageSmoothingQuality = "high";
    if (photo === null) {
      context.fillStyle = "rgb(128 128 128 / 20%)";
      context.fillRect(0, 0, image.widthPx, image.heightPx);
    } else {
      context.drawImage(photo, 0, 0);
    }
  }

  #paintMasks(state: EditorState): void {
    const context = prepared(this.#layers.masks, state.viewport);
    if (state.areMasksHidden) return;
    toImageFrame(context, state);
    const { masks, draft } = state.document;
    masks.forEach((mask, place) => {
      if (mask.status === "rejected" || mask.id === draft.base?.id) return;
      this.#paintMask(context, mask, maskColour(place), state);
    });
  }

  #paintMask(context: CanvasRenderingContext2D, mask: MaskItem, colour: string, state: EditorState): void {
    const isSelected = mask.id === state.selectedMaskId;
    const isProposed = mask.status === "proposed";
    this.#fill(context, mask.rle, colour, fillAlpha(mask, isSelected, !isEmptyDraft(state.document.draft)));
    this.#outline(context, mask.rle, state, { colour, isDashed: isProposed, isSelected });
  }

  #paintPrompts(editor: Editor, pointer: ScreenPoint | null): void {
    const state = editor.state();
    const context = prepared(this.#layers.prompts, state.viewport);
    const draft = editor.draftRle();
    if (draft !== null && !state.areMasksHidden) {
      context.save();
      toImageFrame(context, state);
      this.#fill(context, draft, COLOURS.draft, FILL_ALPHA.draft);
      this.#outline(context, draft, state, { colour: COLOURS.draft, isDashed: false, isSelected: true });
      context.restore();
    }
    paintGesture(context, state);
    for (const { prompt } of state.document.draft.steps) paintPrompt(context, prompt, state);
    if (pointer !== null) paintBrush(context, state, pointer);
  }

  #fill(context: CanvasRenderingContext2D, rle: Rle, colour: string, alpha: number): void {
    const sprite = this.#spriteOf(rle, colour);
    if (sprite === null) return;
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = false;
    context.drawImage(sprite.image, sprite.x, sprite.y);
    context.globalAlpha = 1;
  }

  #outline(
    context: CanvasRenderingContext2D,
    rle: Rle,
    state: EditorState,
    look: { colour: string; isDashed: boolean; isSelected: boolean },
  ): void {
    const path = this.#pathOf(rle);
    const px = 1 / state.camera.scale;
    const width = look.isSelected ? LINE_PX.selected : LINE_PX.normal;
    context.lineJoin = "round";
    context.setLineDash(look.isDashed ? DASH_PX.map((length) => length * px) : []);
    context.lineWidth = (width + LINE_PX.halo) * px;
    context.strokeStyle = look.isSelected ? COLOURS.halo : COLOURS.shadow;
    context.globalAlpha = look.isSelected ? 0.9 : 0.45;
    context.stroke(path);
    context.globalAlpha = 1;
    context.lineWidth = width * px;
    context.strokeStyle = look.colour;
    context.stroke(path);
    context.setLineDash([]);
  }

  #spriteOf(rle: Rle, colour: string): Sprite | null {
    const known = this.#sprites.get(rle)?.get(colour);
    if (known !== undefined) return known;
    const sprite = makeSprite(rle, colour);
    if (sprite === null) return null;
    const byColour = this.#sprites.get(rle) ?? new Map<string, Sprite>();
    this.#sprites.set(rle, byColour.set(colour, sprite));
    return sprite;
  }

  #pathOf(rle: Rle): Path2D {
    const known = this.#paths.get(rle);
    if (known !== undefined) return known;
    const path = new Path2D();
    for (const loop of contourOf(rle)) {
      for (let i = 0; i < loop.length; i += 2) {
        if (i === 0) path.moveTo(loop[i] ?? 0, loop[i + 1] ?? 0);
        else path.lineTo(loop[i] ?? 0, loop[i + 1] ?? 0);
      }
      path.closePath();
    }
    this.#paths.set(rle, path);
    return path;
  }
}

function fillAlpha(mask: MaskItem, isSelected: boolean, isDrafting: boolean): number {
  if (isSelected) return FILL_ALPHA.selected;
  if (isDrafting) return FILL_ALPHA.background;
  return mask.status === "proposed" ? FILL_ALPHA.proposed : FILL_ALPHA.accepted;
}

/** The mask in one opaque colour, cut to its box. */
function makeSprite(rle: Rle, colour: string): Sprite | null {
  const bounds = boundsOf(rle);
  if (bounds === null) return null;
  const image = document.createElement("canvas");
  image.width = bounds.x1 - bounds.x0;
  image.height = bounds.y1 - bounds.y0;
  const context = image.getContext("2d");
  if (context === null) return null;
  const data = context.createImageData(image.width, image.height);
  const words = new Uint32Array(data.data.buffer);
  const word = littleEndianRgba(colour);
  forEachRun(rle, (start, length) => {
    for (let position = start; position < start + length; position += 1) {
      const x = Math.floor(position / rle.heightPx) - bounds.x0;
      const y = (position % rle.heightPx) - bounds.y0;
      words[y * image.width + x] = word;
    }
  });
  context.putImageData(data, 0, 0);
  return { image, x: bounds.x0, y: bounds.y0 };
}

function littleEndianRgba(colour: string): number {
  const rgb = Number.parseInt(colour.slice(1), 16);
  return (0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

/** A cleared canvas of the viewport's size at the screen's resolution, in CSS pixels. */
function prepared(canvas: HTMLCanvasElement, viewport: Size): CanvasRenderingContext2D {
  const ratio = devicePixelRatio;
  const [width, height] = [Math.round(viewport.widthPx * ratio), Math.round(viewport.heightPx * ratio)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("This browser gives no 2D canvas.");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, viewport.widthPx, viewport.heightPx);
  return context;
}

function toImageFrame(context: CanvasRenderingContext2D, { camera }: EditorState): void {
  context.translate(camera.offsetX, camera.offsetY);
  context.scale(camera.scale, camera.scale);
}

function paintPrompt(context: CanvasRenderingContext2D, prompt: Prompt, state: EditorState): void {
  if (prompt.kind === "box") {
    paintBox(context, prompt.box, state);
    return;
  }
  const { x, y } = imageToScreen(state.camera, prompt.at);
  const arm = POINT_RADIUS_PX - 3;
  context.beginPath();
  context.arc(x, y, POINT_RADIUS_PX, 0, 2 * Math.PI);
  context.fillStyle = prompt.label === 1 ? COLOURS.positive : COLOURS.negative;
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = COLOURS.halo;
  context.stroke();
  context.beginPath();
  context.moveTo(x - arm, y);
  context.lineTo(x + arm, y);
  if (prompt.label === 1) {
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
  }
  context.stroke();
}

function paintBox(
  context: CanvasRenderingContext2D,
  box: { x0: number; y0: number; x1: number; y1: number },
  state: EditorState,
): void {
  const from = imageToScreen(state.camera, imagePoint(box.x0, box.y0));
  const to = imageToScreen(state.camera, imagePoint(box.x1, box.y1));
  for (const [width, colour] of [[3.5, COLOURS.halo], [1.5, COLOURS.positive]] as const) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.strokeRect(from.x, from.y, to.x - from.x, to.y - from.y);
  }
}

function paintGesture(context: CanvasRenderingContext2D, state: EditorState): void {
  const { preview } = state;
  if (preview === null) return;
  if (preview.kind === "box") {
    paintBox(context, preview.box, state);
    return;
  }
  context.beginPath();
  for (const point of preview.path) {
    const { x, y } = imageToScreen(state.camera, point);
    context.lineTo(x, y);
  }
  context.lineCap = "round";
  context.lineJoin = "round";
  context.lineWidth = state.brushDiameterPx * state.camera.scale;
  context.strokeStyle = preview.stroke === "brush" ? COLOURS.draft : COLOURS.shadow;
  context.globalAlpha = 0.5;
  context.stroke();
  context.globalAlpha = 1;
}

function paintBrush(context: CanvasRenderingContext2D, state: EditorState, at: ScreenPoint): void {
  if ((state.toolId !== "brush" && state.toolId !== "eraser") || state.isPanHeld) return;
  const radius = (state.brushDiameterPx * state.camera.scale) / 2;
  for (const [width, colour] of [[3, COLOURS.shadow], [1.5, COLOURS.halo]] as const) {
    context.beginPath();
    context.arc(at.x, at.y, Math.max(1, radius), 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}

function isChanged(before: readonly unknown[], after: readonly unknown[]): boolean {
  return before.length !== after.length || before.some((value, i) => value !== after[i]);
}
