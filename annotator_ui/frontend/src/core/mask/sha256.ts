/** SHA-256 (FIPS 180-4) of an ASCII string. Written out because `crypto.subtle` is missing on
 * plain http, where a small team may well run the page. */

const FRACTIONS_OF_CUBE_ROOTS = primeRootFractions(64, 3);
const INITIAL = primeRootFractions(8, 2);

export function sha256Hex(ascii: string): string {
  const words = padded(ascii);
  const hash = Uint32Array.from(INITIAL);
  const schedule = new Uint32Array(64);
  for (let block = 0; block < words.length; block += 16) {
    schedule.set(words.subarray(block, block + 16));
    compress(hash, schedule);
  }
  return Array.from(hash, (word) => word.toString(16).padStart(8, "0")).join("");
}

function padded(ascii: string): Uint32Array {
  const numWords = (((ascii.length + 8) >> 6) + 1) * 16;
  const words = new Uint32Array(numWords);
  for (let i = 0; i < ascii.length; i += 1) {
    words[i >> 2] = (words[i >> 2] ?? 0) | ((ascii.charCodeAt(i) & 0xff) << (24 - (i % 4) * 8));
  }
  words[ascii.length >> 2] =
    (words[ascii.length >> 2] ?? 0) | (0x80 << (24 - (ascii.length % 4) * 8));
  words[numWords - 2] = Math.floor((ascii.length * 8) / 2 ** 32);
  words[numWords - 1] = ascii.length * 8;
  return words;
}

function compress(hash: Uint32Array, w: Uint32Array): void {
  for (let t = 16; t < 64; t += 1) {
    const x = at(w, t - 15);
    const y = at(w, t - 2);
    const small0 = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
    const small1 = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
    w[t] = at(w, t - 16) + small0 + at(w, t - 7) + small1;
  }
  let [a, b, c, d, e, f, g, h] = Array.from(hash) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  for (let t = 0; t < 64; t += 1) {
    const big1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const choose = (e & f) ^ (~e & g);
    const first = (h + big1 + choose + at(FRACTIONS_OF_CUBE_ROOTS, t) + at(w, t)) | 0;
    const big0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + big0 + majority) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => {
    hash[i] = at(hash, i) + word;
  });
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function at(words: Uint32Array, index: number): number {
  return words[index] ?? 0;
}

/** First 32 bits of the fractional parts of the roots of the first primes (the standard's tables). */
function primeRootFractions(count: number, root: 2 | 3): Uint32Array {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n += 1) {
    if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  }
  const fraction = (value: number): number => Math.floor((value - Math.floor(value)) * 2 ** 32);
  return Uint32Array.from(primes, (prime) =>
    fraction(root === 2 ? Math.sqrt(prime) : Math.cbrt(prime)),
  );
}
