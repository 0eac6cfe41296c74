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

/** Stable for a mask, whatever is accepted or rejected around it. */
export function maskColour(maskId: string): string {
  let hash = 0;
  for (let i = 0; i < maskId.length; i += 1) hash = (Math.imul(hash, 31) + maskId.charCodeAt(i)) >>> 0;
  return MASK_COLOURS[hash % MASK_COLOURS.length] ?? MASK_COLOURS[0];
}
