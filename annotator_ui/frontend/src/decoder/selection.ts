/** Which of the decoder's four masks to show: the page's half of sam/prompting/selection.py. */

const SINGLE_MASK = 0;
const AMBIGUITY_MASKS = [1, 2, 3] as const;

/** Indices, best first. One prompt is ambiguous (three masks by predicted IoU, those that hold a
 * background click last); more are not. */
export function chooseMasks(
  predictedIou: ArrayLike<number>,
  numPrompts: number,
  isCrossed: (index: number) => boolean = () => false,
): readonly number[] {
  if (numPrompts > 1) return [SINGLE_MASK];
  const crossed = new Set(AMBIGUITY_MASKS.filter(isCrossed));
  const last = (index: (typeof AMBIGUITY_MASKS)[number]): number => (crossed.has(index) ? 1 : 0);
  return [...AMBIGUITY_MASKS].sort(
    (a, b) => last(a) - last(b) || (predictedIou[b] ?? 0) - (predictedIou[a] ?? 0) || a - b,
  );
}
