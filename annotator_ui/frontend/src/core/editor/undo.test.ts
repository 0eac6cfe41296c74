import { expect, it } from "vitest";
import type { Document } from "./document";
import { rleSha256 } from "../mask/rle";
import { candidate, maskItem, rectangle, TestEditor } from "./testEditor";

/** Every recorded operation, driven through the pointer and the keys a person would use. */
const OPERATIONS: Record<string, (test: TestEditor, random: () => number) => void> = {
  click: (test, random) => {
    const [x, y] = [Math.floor(random() * 99), Math.floor(random() * 79)];
    test.send({ type: "tool", id: "point" }).click(x, y, random() < 0.3 ? { button: "right" } : {});
    if (random() < 0.8) test.answer(candidate(rectangle(x >> 1, y >> 1, x + 1, y + 1), 0.9));
  },
  box: (test, random) => {
    test.send({ type: "tool", id: "point" }).drag(5, 5, 20 + random() * 70, 20 + random() * 50);
    test.answer(candidate(rectangle(6, 6, 19, 19), 0.8), candidate(rectangle(0, 0, 50, 50), 0.6));
  },
  brush: (test, random) =>
    test.send({ type: "tool", id: "brush" }).drag(random() * 90, 10, 50, random() * 70),
  eraser: (test, random) =>
    test.send({ type: "tool", id: "eraser" }).drag(random() * 90, 10, 50, random() * 70),
  removePrompt: (test) => test.send({ type: "remove_last_prompt" }),
  clear: (test) => test.send({ type: "cancel" }),
  accept: (test) => test.send({ type: "accept_draft" }),
  yes: (test) => test.send({ type: "mask_status", maskId: "p1", to: "accepted" }),
  no: (test) => test.send({ type: "mask_status", maskId: "h1", to: "rejected" }),
  select: (test) => test.send({ type: "select", maskId: "h1" }),
  refine: (test) => test.send({ type: "refine", maskId: "h1" }),
  polygon: (test, random) => {
    test
      .send({ type: "tool", id: "polygon" })
      .click(10, 10)
      .click(20 + random() * 70, 12)
      .click(40, 20 + random() * 50);
    test.send({ type: "complete" });
  },
  lasso: (test, random) =>
    test
      .send({ type: "tool", id: "lasso" })
      .down(60, 10, random() < 0.4 ? { shift: true } : {})
      .move(90, 20)
      .move(70, 70)
      .up(60, 12),
  fillHoles: (test) => test.send({ type: "fill_holes" }),
  largestPart: (test) => test.send({ type: "largest_part" }),
  split: (test) => test.send({ type: "select", maskId: "h1" }).send({ type: "split" }),
  merge: (test) =>
    test
      .send({ type: "select", maskId: "h1" })
      .send({ type: "mark", maskId: "p1" })
      .send({ type: "merge" }),
  subtract: (test) =>
    test
      .send({ type: "select", maskId: "h1" })
      .send({ type: "mark", maskId: "p1" })
      .send({ type: "subtract" }),
  overlap: (test, random) =>
    test.send({
      type: "overlap",
      policy: (["keep", "cut_below", "cut_above"] as const)[Math.floor(random() * 3)]!,
    }),
  label: (test, random) =>
    test.send({ type: "label", maskId: "h1", label: `l${Math.floor(random() * 3)}` }),
  tooHard: (test) => test.send({ type: "too_hard" }),
};

function seeded(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

/** The masks that the server ends up with after the messages. */
class ObedientServer {
  readonly masks = new Map<string, { status: string; sha256: string }>();

  apply(messages: ReturnType<TestEditor["takeMessages"]>): void {
    for (const message of messages) {
      if (message.type === "save_mask") {
        this.masks.set(message.mask.id, {
          status: "accepted",
          sha256: rleSha256(message.mask.rle),
        });
      } else if (message.type === "set_status") {
        this.masks.get(message.maskId)!.status = message.to;
      }
    }
  }

  accepted(): string[] {
    return [...this.masks]
      .filter(([, mask]) => mask.status === "accepted")
      .map(([id, mask]) => `${id} ${mask.sha256}`)
      .sort();
  }
}

function start(): { test: TestEditor; server: ObedientServer } {
  const masks = [
    maskItem("p1", "proposed", "prefilled"),
    maskItem("h1", "accepted", "human", rectangle(30, 30, 50, 60)),
  ];
  const server = new ObedientServer();
  for (const mask of masks)
    server.masks.set(mask.id, { status: mask.status, sha256: rleSha256(mask.rle) });
  return { test: new TestEditor(masks), server };
}

const acceptedOf = (document: Document): string[] =>
  document.masks
    .filter((mask) => mask.status === "accepted")
    .map((mask) => `${mask.id} ${rleSha256(mask.rle)}`)
    .sort();

it.each(Array.from({ length: 40 }, (_, seed) => seed))(
  "undo restores every document exactly (seed %i)",
  (seed) => {
    const { test, server } = start();
    const random = seeded(seed + 1);
    const names = Object.keys(OPERATIONS);
    const seen: Document[] = [test.document];

    for (let i = 0; i < 25; i += 1) {
      const before = test.document;
      OPERATIONS[names[Math.floor(random() * names.length)]!]!(test, random);
      server.apply(test.takeMessages());
      if (test.document === before) continue;
      const after = test.document;

      test.send({ type: "undo" });
      expect(test.document).toEqual(before);
      server.apply(test.takeMessages());
      expect(server.accepted()).toEqual(acceptedOf(before));

      test.send({ type: "redo" });
      expect(test.document).toEqual(after);
      server.apply(test.takeMessages());
      expect(server.accepted()).toEqual(acceptedOf(after));
      seen.push(after);
    }

    for (const document of seen.slice(0, -1).reverse()) {
      test.send({ type: "undo" });
      expect(test.document).toEqual(document);
    }
    test.send({ type: "undo" });
    expect(test.document).toEqual(seen[0]);
  },
);
