/** Every tool, once. */

import { LassoTool } from "./lassoTool";
import { PanTool } from "./panTool";
import { PointTool } from "./pointTool";
import { PolygonTool } from "./polygonTool";
import { SelectTool } from "./selectTool";
import { StrokeTool } from "./strokeTool";
import type { Tool, ToolId } from "./tool";

export function makeTools(): Readonly<Record<ToolId, Tool>> {
  return {
    point: new PointTool(),
    brush: new StrokeTool("brush"),
    eraser: new StrokeTool("eraser"),
    polygon: new PolygonTool(),
    lasso: new LassoTool(),
    select: new SelectTool(),
    pan: new PanTool(),
  };
}
