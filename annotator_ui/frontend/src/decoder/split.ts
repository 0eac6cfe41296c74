/** Cuts a decoder in two: what comes from the image alone runs once when the image is opened, and a
 * click runs the rest. Any ONNX graph will do; sums and weights stay as they are.
 * Field numbers: onnx.proto3 of the ONNX project. */

import { fieldsOf, joined, lengthed, number, text } from "./protobuf";
import type { Field } from "./protobuf";

const MODEL = { graph: 7 } as const;
const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12 } as const;
const NODE = { input: 1, output: 2, attribute: 5 } as const;
const ATTRIBUTE = { graph: 6, graphs: 11 } as const;
const TENSOR = { name: 8 } as const;
const VALUE = { name: 1, type: 2 } as const;
const FLOAT = 1;

export interface SplitModel {
  /** From the image's features to `shared`. */
  readonly early: Uint8Array;
  /** From everything else, and `shared`, to the model's outputs. */
  readonly late: Uint8Array;
  /** Names of the tensors that `early` hands to `late`. */
  readonly shared: readonly string[];
}

interface Node {
  readonly value: Uint8Array;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

interface Graph {
  readonly nodes: readonly Node[];
  readonly weights: Messages;
  readonly inputs: Messages;
  readonly outputs: Messages;
}

/** Messages by the name inside them. */
type Messages = ReadonlyMap<string, Uint8Array>;

/** Null where there is nothing to gain: no work depends on the image alone, or graphs are nested.
 * `known`: the inputs that are at hand when an image is opened. */
export function splitModel(model: Uint8Array, known: ReadonlySet<string>): SplitModel | null {
  const fields = fieldsOf(model);
  const graphField = fields.find((field) => field.number === MODEL.graph);
  const graph = graphField === undefined ? null : readGraph(graphField.value);
  if (graph === null) return null;
  const kinds = kindsOf(graph, known);
  const isShared = (name: string): boolean =>
    kinds.get(name) === "early" && !graph.inputs.has(name);
  const shared = new Set<string>();
  for (const node of graph.nodes) {
    if (node.outputs.some((name) => kinds.get(name) === "late"))
      node.inputs.filter(isShared).forEach((name) => shared.add(name));
  }
  if (shared.size === 0 || [...graph.outputs.keys()].some((name) => kinds.get(name) !== "late"))
    return null;
  const between = [...shared].map((name) => [name, floatValue(name)] as const);
  const rest = fields.filter((field) => field !== graphField).map((field) => field.whole);
  const build = (inputs: Messages, outputs: Messages): Uint8Array =>
    joined([...rest, lengthed(MODEL.graph, writeGraph(graph, inputs, outputs))]);
  return {
    early: build(graph.inputs, new Map(between)),
    late: build(new Map([...graph.inputs, ...between]), graph.outputs),
    shared: [...shared],
  };
}

function readGraph(bytes: Uint8Array): Graph | null {
  const fields = fieldsOf(bytes);
  const named = (number: number, nameField: number): Messages =>
    new Map(
      fields
        .filter((field) => field.number === number)
        .map(({ value }) => [nameIn(value, nameField), value]),
    );
  const nodes = fields.filter((field) => field.number === GRAPH.node).map(readNode);
  if (nodes.some((node) => node === null)) return null;
  return {
    nodes: nodes.filter((node) => node !== null),
    weights: named(GRAPH.initializer, TENSOR.name),
    inputs: named(GRAPH.input, VALUE.name),
    outputs: named(GRAPH.output, VALUE.name),
  };
}

/** Null for a node with a graph inside, whose inner names this module does not follow. */
function readNode({ value }: Field): Node | null {
  const fields = fieldsOf(value);
  const names = (number: number): string[] =>
    fields.filter((field) => field.number === number).map((field) => text(field.value));
  const attributes = fields
    .filter((field) => field.number === NODE.attribute)
    .flatMap((field) => fieldsOf(field.value));
  if (
    attributes.some(
      (field) => field.number === ATTRIBUTE.graph || field.number === ATTRIBUTE.graphs,
    )
  )
    return null;
  return {
    value,
    inputs: names(NODE.input).filter((name) => name !== ""),
    outputs: names(NODE.output),
  };
}

function nameIn(message: Uint8Array, number: number): string {
  const name = fieldsOf(message).find((inner) => inner.number === number);
  return name === undefined ? "" : text(name.value);
}

type Kind = "constant" | "early" | "late";

/** When each tensor can be known. Nodes come in the order in which they can run. */
function kindsOf(
  { nodes, weights, inputs }: Graph,
  known: ReadonlySet<string>,
): ReadonlyMap<string, Kind> {
  const kinds = new Map<string, Kind>();
  for (const name of inputs.keys()) kinds.set(name, known.has(name) ? "early" : "late");
  for (const name of weights.keys()) kinds.set(name, "constant");
  for (const node of nodes) {
    const found = node.inputs.map((name) => kinds.get(name) ?? "late");
    const kind = found.includes("late") ? "late" : found.includes("early") ? "early" : "constant";
    for (const name of node.outputs) kinds.set(name, kind);
  }
  return kinds;
}

/** The part of the graph that leads from these inputs to these outputs. */
function writeGraph(graph: Graph, inputs: Messages, outputs: Messages): Uint8Array {
  const needed = new Set(outputs.keys());
  const nodes: Uint8Array[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((name) => needed.has(name) && !inputs.has(name))) continue;
    nodes.push(lengthed(GRAPH.node, node.value));
    node.inputs.forEach((name) => needed.add(name));
  }
  const used = (messages: Messages, field: number): Uint8Array[] =>
    [...messages]
      .filter(([name]) => needed.has(name))
      .map(([, message]) => lengthed(field, message));
  return joined([
    ...nodes.reverse(),
    lengthed(GRAPH.name, "part"),
    ...used(graph.weights, GRAPH.initializer),
    ...used(inputs, GRAPH.input),
    ...used(outputs, GRAPH.output),
  ]);
}

/** What an input or an output says about itself: 32-bit floats of any shape. */
function floatValue(name: string): Uint8Array {
  const tensorType = lengthed(1, number(1, FLOAT));
  return joined([lengthed(VALUE.name, name), lengthed(VALUE.type, tensorType)]);
}
