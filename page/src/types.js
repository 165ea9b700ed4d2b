/**
 * The document, as docs/graph-format.md describes it.
 *
 * @typedef {{key: string, name: string, role: string, shape: number[], dtype: string, size: number}} Parameter
 * @typedef {{id: number, key: string, role: string, label: string, sign: string, path: string, name: string,
 *   shape: number[], dtype: string, attributes: [string, string][], cluster: ?number, module: string,
 *   contents: {role: string, label: string, count: number}[], parameters: Parameter[], parameter_count: number,
 *   flops: number, kept_bytes: number, derivative_of: ?number, repeat: number,
 *   equation: ?{forward: string, backward: string}}} Node
 * @typedef {{tail: number, head: number, argument: string, shape: number[], dtype: string,
 *   flow: "value" | "gradient" | "kept"}} Edge
 * @typedef {{id: number, parent: ?number, path: string, name: string, label: string, role: string,
 *   attributes: [string, string][], repeat: number, equation: ?{forward: string, backward: string}}} Cluster
 * @typedef {{low: number, high: number, counts: number[]}} Histogram
 * @typedef {{mean: ?number, variance: ?number, minimum: ?number, maximum: ?number, skewness: ?number,
 *   saturation: ?number, zeros: ?number, norm: ?number, not_finite: number, histogram: Histogram,
 *   channels: ?Record<string, (?number)[]>, values: ?{shape: number[], numbers: (?number)[]}}} Facts
 * @typedef {{value: Facts, gradient: ?Facts, seconds: ?number, gradient_error: ?number,
 *   seeds?: Record<string, [?number, ?number, ?number]>}} Observation
 * @typedef {{name: string, nodes: Record<string, Observation>}} Frame
 * @typedef {{name: string, title: string, mode: string, root: string,
 *   totals: {parameters: number, flops: number, kept_bytes: number},
 *   nodes: Node[], edges: Edge[], clusters: Cluster[], frames: Frame[]}} GraphData
 * @typedef {{first: number, second: number, status: "same" | "moved" | "changed", moved: boolean,
 *   changes: [string, string, string][]}} Pair
 * @typedef {{first: string, second: string, summary: string, pairs: Pair[], removed: number[], added: number[]}} Diff
 * @typedef {{format: string, version: number, title: string, graphs: GraphData[], diff: ?Diff}} Document
 *
 * What the page makes of it.
 *
 * @typedef {Node & {group: ?Group, backward: boolean}} GraphNode   group: the innermost box that is worth drawing
 * @typedef {Cluster & {key: string, outer: ?Group, level: number, groups: Group[], members: GraphNode[],
 *   summary: Summary, original?: string, continues?: boolean}} Group   original: the key of the box that this one is or
 *   continues in a second column
 * @typedef {{parameters: number, flops: number, keptBytes: number, repeat: number, output: ?GraphNode,
 *   contents: {role: string, label: string, id: number}[]}} Summary
 * @typedef {{key: string, node: ?GraphNode, group: ?Group, box: ?Group, run?: Group[]}} Item   a node, or a closed
 *   group; `run` are those alike that it stands for
 * @typedef {{tail: string, head: string, flow: string, argument: string, edges: Edge[]}} Link   between items' keys
 * @typedef {{items: Map<string, Item>, boxes: Group[], links: Link[],
 *   rolledIn: Map<string, string>}} View   rolledIn: for a group that is not shown itself, the key of the one alike
 * @typedef {{x: number, y: number, w: number, h: number}} Rect   x and y of the centre
 * @typedef {{link: Link, points: [number, number][], tip: [number, number]}} Curve
 * @typedef {{width: number, height: number, items: Map<string, Rect>, boxes: Map<string, Rect>,
 *   curves: Curve[], between?: Link[], onward?: string, back?: string}} Layout   between: from one column to the other,
 *   where there are two; onward and back: the arrow keys that lead along
 */

export {};
