/** Every tunable of the page, with its unit in its name. */

export const OPTIONS = {
  /** A press that moves less than this is a click; further, it is a box. */
  dragStartPx: 5,
  /** A press this near to the first corner closes the outline. */
  closeOutlinePx: 9,
  zoomStep: 1.0015,
  zoomKeyFactor: 1.25,
  minScale: 0.02,
  maxScale: 40,
  fitMarginPx: 24,
  brushDefaultPx: 24,
  brushMinPx: 1,
  brushMaxPx: 500,
  brushStepFactor: 1.25,
  /** Annotation time stops counting when nothing happened for this long. */
  idleAfterMs: 10_000,
  /** Paper, section 4: an annotator who needs longer moves on. */
  slowMaskMs: 30_000,
} as const satisfies Record<string, number>;
