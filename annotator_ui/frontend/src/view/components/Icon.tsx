/** The toolbar's drawings, 20 x 20, in the text's colour. */

const PATHS: Readonly<Record<string, string>> = {
  "tool-point": "M4 4h12v12H4zM10 7v6M7 10h6",
  "tool-brush": "M16 3c-4 2-7 5-8 8l2 2c3-1 6-4 8-8zM8 12c-3 0-3 3-5 4 3 2 7 1 7-2",
  "tool-eraser": "M3 13l8-9 6 5-7 8H6zM8 8l6 5M6 17h11",
  "tool-polygon": "M5 5l10-2 3 9-8 6-7-7zM5 5v.1M15 3v.1M18 12v.1M10 18v.1",
  "tool-lasso": "M10 4c5 0 8 2 8 5s-4 5-8 5-8-2-8-5 3-5 8-5zM5 13c-1 2 0 4 2 4",
  hover: "M2 10c2-4 5-6 8-6s6 2 8 6c-2 4-5 6-8 6s-6-2-8-6zM10 8a2 2 0 100 4 2 2 0 000-4z",
  instructions: "M5 3h10v14H5zM8 7h4M8 10h4M8 13h2",
  "tool-select": "M5 3l10 8-5 1 3 5-2 1-3-5-3 4z",
  "tool-pan": "M10 2v16M2 10h16M7 5l3-3 3 3M7 15l3 3 3-3M5 7l-3 3 3 3M15 7l3 3-3 3",
  "brush-larger": "M10 5v10M5 10h10",
  "brush-smaller": "M5 10h10",
  undo: "M7 4L3 8l4 4M3 8h8a5 5 0 010 10H8",
  redo: "M13 4l4 4-4 4M17 8H9a5 5 0 000 10h3",
  "zoom-fit": "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  "zoom-actual": "M5 5v10M15 5v10M3 6l2-1M13 6l2-1M10 8v.5M10 12v.5",
  help: "M7 7a3 3 0 115 2c-1 1-2 1.500-2 3M10 15v.5",
};

export function Icon({ name }: { name: string }) {
  return (
    <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <path
        d={PATHS[name] ?? ""}
        fill="none"
        stroke="currentColor"
        strokeWidth="1.6"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
