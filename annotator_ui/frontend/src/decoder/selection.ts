/** Which of the decoder's four masks to show: the page's half of sam/selection.py. */

const SINGLE_MASK = 0;
const AMBIGUITY_MASKS = [1, 2, 3] as const;

/** Indices, best first. One prompt is ambiguous (three masks by predicted IoU); more are not. */
export function chooseMasks(predictedIou: ArrayLike<number>, numPrompts: number): readonly number[] {
  if (numPrompts > 1) return [SINGLE_MASK];
  return [...AMBIGUITY_MASKS].sort((a, b) => (predictedIou[b] ?? 0) - (predictedIou[a] ?? 0) || a - b);
}
