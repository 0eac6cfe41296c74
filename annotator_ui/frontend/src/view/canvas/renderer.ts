/** Draws the image, the masks and the prompts on three stacked canvases.
 *
 * Image and masks are costly to draw well (a downscaled image of many megapixels, hundreds of outlines),
 * so each is drawn once, somewhat beyond the view's edges, and moved along while the camera moves; when
 * it rests they are drawn anew, sharp. */

import { contourOf, strideFor } from "../../core/mask/contour";
import { isEmptyDraft } from "../../core/editor/document";
import type { MaskItem } from "../../core/editor/document";
import type { Camera } from "../../core/geometry/camera";
import type { Editor } from "../../core/editor/editor";
import { isShown } from "../../core/editor/editorState";
import type { EditorState } from "../../core/editor/editorState";
import type { ScreenPoint, Size } from "../../core/geometry/geometry";
import type { Rle } from "../../core/mask/rle";
import { paintBrush, paintGesture, paintPrompt } from "./paint";
import { COLOURS, maskColour } from "./palette";

export interface Layers {
  readonly image: HTMLCanvasElement;
  readonly masks: HTMLCanvasElement;
  readonly prompts: HTMLCanvasElement;
}

export interface Scene {
  readonly editor: Editor;
  readonly bitmap: ImageBitmap | null;
  readonly pointer: ScreenPoint | null;
  readonly hover: Rle | null;
  readonly opacity: number;
  readonly isOutlineOnly: boolean;
}

/** Shares of the chosen opacity. */
const FILL = { accepted: 1, proposed: 0.4, draft: 1.1, selected: 1.35, hover: 0.6 } as const;
/** Kept masks step back while another one is being made: as a layer, for drawing hundreds of them anew
 * would keep every first click waiting. */
const STEPPED_BACK = 0.5;
const LINE_PX = { normal: 1.5, selected: 3, halo: 2 } as const;
const DASH_PX = [7, 5] as const;
/** How far beyond the view's edges a layer is drawn, as a share of the view's side. */
const MARGIN = 0.25;
const REST_MS = 120;

export class Renderer {
  readonly #layers: Layers;
  readonly #paths = new WeakMap<Rle, Map<number, Path2D>>();
  readonly #imageLayer = new MovingLayer();
  readonly #masks = new MovingLayer();
  #frame = 0;
  #restTimer: ReturnType<typeof setTimeout> | null = null;
  #scene: (() => Scene) | null = null;
  #numFrames = 0;
  #paintedSteps: unknown = null;
  #answerPaintedMs = 0;

  constructor(layers: Layers) {
    this.#layers = layers;
  }

  /** For measuring: frames painted so far, how often all masks were drawn anew, and when the newest
   * answer to a prompt was first on screen. */
  get paints(): {
    readonly numFrames: number;
    readonly numMaskLayers: number;
    readonly answerPaintedMs: number;
  } {
    return {
      numFrames: this.#numFrames,
      numMaskLayers: this.#masks.numDrawn,
      answerPaintedMs: this.#answerPaintedMs,
    };
  }

  /** Paint at the next animation frame; more calls before it cost nothing. */
  schedule(scene: () => Scene): void {
    this.#scene = scene;
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#numFrames += 1;
      this.#paint(scene());
    });
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    if (this.#restTimer !== null) clearTimeout(this.#restTimer);
    this.#frame = 0;
    this.#scene = null;
  }

  #paint(scene: Scene): void {
    const { editor, bitmap } = scene;
    const state = editor.state();
    if (state.viewport.widthPx === 0) return;
    const { viewport, document, camera } = state;
    const isDrafting = !isEmptyDraft(document.draft);
    const imageKey = [viewport, bitmap, devicePixelRatio];
    const masksKey = [
      viewport,
      devicePixelRatio,
      document.masks,
      document.draft.base,
      state.selectedMaskId,
      state.areMasksHidden,
      state.hiddenMaskIds,
      state.isIsolated,
      scene.opacity,
      scene.isOutlineOnly,
      ...state.markedMaskIds,
    ];
    this.#imageLayer.show(this.#layers.image, state, imageKey, (context) =>
      this.#paintImage(context, camera, bitmap, editor.image),
    );
    this.#masks.show(this.#layers.masks, state, masksKey, (context) =>
      this.#paintMasks(context, state, scene),
    );
    this.#layers.masks.style.opacity = isDrafting ? String(STEPPED_BACK) : "";
    this.#paintPrompts(scene, state);
    if (this.#imageLayer.isMoved || this.#masks.isMoved) this.#sharpenLater();
    const { steps } = document.draft;
    if (steps.length > 0 && !state.isDecoding && this.#paintedSteps !== steps) {
      this.#paintedSteps = steps;
      this.#answerPaintedMs = performance.now();
    }
  }

  /** While the camera keeps moving this is put off again and again. */
  #sharpenLater(): void {
    if (this.#restTimer !== null) clearTimeout(this.#restTimer);
    this.#restTimer = setTimeout(() => {
      this.#restTimer = null;
      this.#imageLayer.forget();
      this.#masks.forget();
      if (this.#scene !== null) this.schedule(this.#scene);
    }, REST_MS);
  }

  #paintImage(
    context: CanvasRenderingContext2D,
    camera: Camera,
    bitmap: ImageBitmap | null,
    image: Size,
  ): void {
    // Enlarged pixels are shown as they are: an annotator must see where the edge really is.
    context.imageSmoothingEnabled = camera.scale < 3;
    context.imageSmoothingQuality = "medium";
    if (bitmap === null) {
      context.fillStyle = "rgb(128 128 128 / 20%)";
      context.fillRect(0, 0, image.widthPx, image.heightPx);
    } else {
      context.drawImage(bitmap, 0, 0);
    }
  }

  #paintMasks(context: CanvasRenderingContext2D, state: EditorState, scene: Scene): void {
    if (state.areMasksHidden) return;
    const { masks, draft } = state.document;
    masks.forEach((mask, place) => {
      if (!isShown(state, mask) || mask.id === draft.base?.id) return;
      this.#paintMask(context, mask, maskColour(place), state, scene);
    });
  }

  #paintMask(
    context: CanvasRenderingContext2D,
    mask: MaskItem,
    colour: string,
    state: EditorState,
    scene: Scene,
  ): void {
    const isSelected = mask.id === state.selectedMaskId || state.markedMaskIds.includes(mask.id);
    const kind = isSelected ? "selected" : mask.status === "proposed" ? "proposed" : "accepted";
    if (!scene.isOutlineOnly)
      this.#fill(context, mask.rle, state, colour, FILL[kind] * scene.opacity);
    this.#outline(context, mask.rle, state, {
      colour,
      isDashed: mask.status === "proposed",
      isSelected,
    });
  }

  #paintPrompts(scene: Scene, state: EditorState): void {
    const context = prepared(this.#layers.prompts, state.viewport, devicePixelRatio, 0);
    const draft = scene.editor.draftRle();
    const shown = draft ?? (isEmptyDraft(state.document.draft) ? scene.hover : null);
    if (shown !== null && !state.areMasksHidden) {
      context.save();
      toImageFrame(context, state.camera);
      const share = draft === null ? FILL.hover : FILL.draft;
      if (!scene.isOutlineOnly || draft === null)
        this.#fill(context, shown, state, COLOURS.draft, share * scene.opacity);
      this.#outline(context, shown, state, {
        colour: COLOURS.draft,
        isDashed: draft === null,
        isSelected: draft !== null,
      });
      context.restore();
    }
    paintGesture(context, state);
    for (const { prompt } of state.document.draft.steps) paintPrompt(context, prompt, state);
    if (scene.pointer !== null) paintBrush(context, state, scene.pointer);
  }

  #fill(
    context: CanvasRenderingContext2D,
    rle: Rle,
    state: EditorState,
    colour: string,
    alpha: number,
  ): void {
    context.globalAlpha = Math.min(1, alpha);
    context.fillStyle = colour;
    context.fill(this.#pathOf(rle, state.camera.scale), "evenodd");
    context.globalAlpha = 1;
  }

  #outline(
    context: CanvasRenderingContext2D,
    rle: Rle,
    state: EditorState,
    style: { colour: string; isDashed: boolean; isSelected: boolean },
  ): void {
    const path = this.#pathOf(rle, state.camera.scale);
    const px = 1 / state.camera.scale;
    const width = style.isSelected ? LINE_PX.selected : LINE_PX.normal;
    context.setLineDash(style.isDashed ? DASH_PX.map((length) => length * px) : []);
    context.lineWidth = (width + LINE_PX.halo) * px;
    context.strokeStyle = style.isSelected ? COLOURS.halo : COLOURS.shadow;
    context.globalAlpha = style.isSelected ? 0.9 : 0.45;
    context.stroke(path);
    context.globalAlpha = 1;
    context.lineWidth = width * px;
    context.strokeStyle = style.colour;
    context.stroke(path);
    context.setLineDash([]);
  }

  #pathOf(rle: Rle, scale: number): Path2D {
    const stride = strideFor(scale);
    const known = this.#paths.get(rle) ?? new Map<number, Path2D>();
    const found = known.get(stride);
    if (found !== undefined) return found;
    const path = new Path2D();
    for (const loop of contourOf(rle, stride)) {
      for (let i = 0; i < loop.length; i += 2) {
        if (i === 0) path.moveTo(loop[i] ?? 0, loop[i + 1] ?? 0);
        else path.lineTo(loop[i] ?? 0, loop[i + 1] ?? 0);
      }
      path.closePath();
    }
    this.#paths.set(rle, known.set(stride, path));
    return path;
  }
}

/** A layer drawn once for one camera and moved along for others until it is drawn anew. */
class MovingLayer {
  readonly #store = document.createElement("canvas");
  #camera: Camera | null = null;
  #key: readonly unknown[] = [];
  #shownCamera: Camera | null = null;
  #numDrawn = 0;

  get numDrawn(): number {
    return this.#numDrawn;
  }

  get isMoved(): boolean {
    return this.#camera !== this.#shownCamera;
  }

  forget(): void {
    if (this.isMoved) this.#camera = null;
  }

  show(
    canvas: HTMLCanvasElement,
    state: EditorState,
    key: readonly unknown[],
    paint: (context: CanvasRenderingContext2D) => void,
  ): void {
    const { camera, viewport } = state;
    const isDrawn = this.#camera !== null && !isChanged(this.#key, key);
    if (isDrawn && this.#shownCamera === camera) return;
    if (!isDrawn) {
      const context = prepared(this.#store, viewport, devicePixelRatio, MARGIN);
      toImageFrame(context, camera);
      context.lineJoin = "round";
      paint(context);
      this.#numDrawn += 1;
      this.#camera = camera;
      this.#key = key;
    }
    this.#shownCamera = camera;
    this.#copy(canvas, camera, viewport);
  }

  #copy(canvas: HTMLCanvasElement, camera: Camera, viewport: Size): void {
    const context = prepared(canvas, viewport, devicePixelRatio, 0);
    const drawn = this.#camera ?? camera;
    const zoom = camera.scale / drawn.scale;
    const [left, top] = [viewport.widthPx * MARGIN, viewport.heightPx * MARGIN];
    context.imageSmoothingEnabled = zoom !== 1;
    context.imageSmoothingQuality = "low";
    context.drawImage(
      this.#store,
      camera.offsetX - (drawn.offsetX + left) * zoom,
      camera.offsetY - (drawn.offsetY + top) * zoom,
      (this.#store.width / devicePixelRatio) * zoom,
      (this.#store.height / devicePixelRatio) * zoom,
    );
  }
}

/** A cleared canvas of the viewport's size (and a margin) at the screen's resolution, in CSS pixels. */
function prepared(
  canvas: HTMLCanvasElement,
  viewport: Size,
  ratio: number,
  margin: number,
): CanvasRenderingContext2D {
  const [left, top] = [viewport.widthPx * margin, viewport.heightPx * margin];
  const width = Math.round((viewport.widthPx + 2 * left) * ratio);
  const height = Math.round((viewport.heightPx + 2 * top) * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("This browser gives no 2D canvas.");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.setTransform(ratio, 0, 0, ratio, left * ratio, top * ratio);
  return context;
}

function toImageFrame(context: CanvasRenderingContext2D, camera: Camera): void {
  context.translate(camera.offsetX, camera.offsetY);
  context.scale(camera.scale, camera.scale);
}

function isChanged(before: readonly unknown[], after: readonly unknown[]): boolean {
  return before.length !== after.length || before.some((value, i) => value !== after[i]);
}
