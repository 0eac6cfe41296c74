/** Colours of masks and points: Okabe and Ito's set, told apart by people with any colour vision. */

// Their dark blue is left out: beside it the draft's blue could be taken for a kept mask.
const MASK_COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00"] as const;

export const COLOURS = {
  draft: "#3d9bff",
  positive: "#0072b2",
  negative: "#d55e00",
  halo: "#ffffff",
  shadow: "#101418",
} as const;

/** By place in the image's list, so that neighbours in time look different. */
export function maskColour(place: number): string {
  return MASK_COLOURS[place % MASK_COLOURS.length] ?? MASK_COLOURS[0];
}
