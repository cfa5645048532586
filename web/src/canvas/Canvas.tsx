/** The canvas: React Flow for what is near and for gestures, one painted layer for all that is not elements. */

import "@xyflow/react/dist/base.css";
import {
  type Connection,
  type ConnectionLineComponentProps,
  type FinalConnectionState,
  type NodeChange,
  type OnConnectStartParams,
  Position,
  ReactFlow,
  type ReactFlowInstance,
  type Viewport,
} from "@xyflow/react";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useT } from "../i18n";
import { fits, type GraphNode, type Id, type Level, linksById, linksOf, nodesById, type Subgraph } from "../graph/document";
import { changeGroup, connect, disconnect, mapNode, moveNodes, wouldCycle } from "../graph/edits";
import { bounds, type Geometry, geometry, HEADER, placedNodes, type Point } from "../graph/geometry";
import { setWidget, type Surroundings } from "../graph/widget_views";
import { changeTab, current, edit, flatId, levelOf, select, settleStep, surroundings, useEditor, useTab, type View, viewKey } from "../state/editor";
import { useRuns } from "../state/runs";
import { show, type Socket, type Target, useUi } from "../state/ui";
import { GroupNames } from "./GroupNames";
import { Minimap } from "./Minimap";
import { NodeCard, type Card } from "./NodeCard";
import { bend, groupAt, isBoundary, linkAt, membersOf, nodeAt, paint, places } from "./painter";
import { typeColor } from "./palette";

const FAR_ZOOM = 0.42;
const MOST_ELEMENTS = 70;
const NODE_TYPES = { card: NodeCard };
const MIN_ZOOM = 0.04;
const MAX_ZOOM = 2.5;

export interface Stage {
  view: View;
  setView(view: View, animate?: boolean): void;
  toCanvas(x: number, y: number): [number, number];
  size: { width: number; height: number };
  /** Middle of what is seen. */
  middle(): [number, number];
  repaint(): void;
}

/** The one stage there is, for commands. */
export let stage: Stage | null = null;

const cards = new WeakMap<Geometry, Card>();

function cardOf(node: GraphNode, place: Geometry, selected: boolean): Card {
  const known = cards.get(place);
  if (known && known.data.node === node && known.selected === selected) return known;
  const handle = (id: string, side: "source" | "target", y: number) => ({
    id,
    type: side,
    position: side === "target" ? Position.Left : Position.Right,
    x: (side === "target" ? 0 : place.width) - 7,
    y: y - 7,
    width: 14,
    height: 14,
  });
  const card: Card = {
    id: String(node.id),
    type: "card",
    position: { x: place.x, y: place.y },
    width: place.width,
    height: place.height,
    measured: { width: place.width, height: place.height },
    handles: [
      ...place.inputs.map((slot) => handle(`i${slot.index}`, "target", slot.y)),
      ...place.outputs.map((slot) => handle(`o${slot.index}`, "source", slot.y)),
      ...place.widgets.map((row) => handle(row.slot === null ? `w:${row.input.name}` : `i${row.slot}`, "target", row.y + 14)),
    ],
    selected,
    data: { node, place },
    dragHandle: place.look === "reroute" ? undefined : ".node-header, .node, .reroute",
  };
  cards.set(place, card);
  return card;
}

/** What of a level is built of elements at this view. */
function nearby(level: Level, around: Surroundings, view: View, size: { width: number; height: number }): ReadonlySet<string> {
  if (view.zoom < FAR_ZOOM) return NOBODY;
  const margin = 240;
  const left = -view.x / view.zoom - margin;
  const top = -view.y / view.zoom - margin;
  const right = left + size.width / view.zoom + 2 * margin;
  const bottom = top + size.height / view.zoom + 2 * margin;
  const found = new Set<string>();
  for (const node of placedNodes(level)) {
    const place = geometry(node, around);
    if (place.x < right && place.y < bottom && place.x + place.width > left && place.y + place.height > top) {
      found.add(String(node.id));
      if (found.size > MOST_ELEMENTS) return NOBODY;
    }
  }
  return found;
}

/** A view of everything. */
function wholeView(level: Level, around: Surroundings, { width, height }: { width: number; height: number }): View {
  const groups = (level.groups ?? []).map(({ bounding: [x, y, w, h] }) => ({ x, y, width: w, height: h }) as Geometry);
  const box = bounds([...places(level, around).values(), ...groups]);
  if (!box) return { x: 80, y: 80, zoom: 1 };
  const margin = 36;
  const zoom = Math.max(MIN_ZOOM, Math.min(1, (width - 2 * margin) / box.width, (height - 2 * margin - 40) / box.height));
  return { x: (width - box.width * zoom) / 2 - box.x * zoom, y: (height - box.height * zoom) / 2 - box.y * zoom, zoom };
}

const NOBODY: ReadonlySet<string> = new Set();
const sameSet = (first: ReadonlySet<string>, second: ReadonlySet<string>) =>
  first === second || (first.size === second.size && [...first].every((id) => second.has(id)));

export function Canvas() {
  const t = useT();
  const wrapper = useRef<HTMLDivElement>(null);
  const layer = useRef<HTMLCanvasElement>(null);
  const flow = useRef<ReactFlowInstance<Card> | null>(null);
  const view = useRef<View>({ x: 60, y: 60, zoom: 0.8 });
  const size = useRef({ width: 1, height: 1 });
  const frame = useRef(0);
  const tabId = useTab((tab) => tab.id);
  const key = useTab((tab) => `${tab.id}/${viewKey(tab)}`);
  const level = useTab(levelOf);
  const doc = useTab((tab) => tab.history.present);
  const selection = useTab((tab) => tab.selection);
  const link = useTab((tab) => tab.link);
  const catalogue = useEditor((state) => state.catalogue);
  const fit = useEditor((state) => state.fit);
  const runs = useRuns((state) => state.nodes[tabId]);
  const theme = useUi((state) => state.theme);
  const minimap = useUi((state) => state.minimap);
  const around = useMemo(() => ({ doc, catalogue }), [doc, catalogue]);
  const [near, setNear] = useState<ReadonlySet<string>>(NOBODY);
  /** Where one looks at first; null until it is known how large the canvas is. */
  const [opening, setOpening] = useState<View | null>(null);
  const scene = useRef({ level, around, selection, link, runs });
  scene.current = { level, around, selection, link, runs };

  const paintNow = useCallback(() => {
    frame.current = 0;
    const context = layer.current?.getContext("2d");
    if (!context) return;
    const now = scene.current;
    const shown = nearby(now.level, now.around, view.current, size.current);
    setNear((before) => (sameSet(before, shown) ? before : shown));
    paint(context, {
      ...now,
      view: view.current,
      ...size.current,
      ratio: Math.min(2, window.devicePixelRatio),
      far: shown.size === 0,
      runs: now.runs ?? {},
      prefix: flatId(current(), ""),
    });
  }, []);
  const repaint = useCallback(() => {
    frame.current ||= requestAnimationFrame(paintNow);
  }, [paintNow]);

  useLayoutEffect(() => {
    const element = wrapper.current as HTMLDivElement;
    const measure = (): boolean => {
      const { clientWidth: width, clientHeight: height } = element;
      if (width === size.current.width && height === size.current.height) return false;
      const ratio = Math.min(2, window.devicePixelRatio);
      size.current = { width, height };
      const canvas = layer.current as HTMLCanvasElement;
      canvas.width = width * ratio;
      canvas.height = height * ratio;
      return true;
    };
    const observer = new ResizeObserver(() => measure() && paintNow());
    observer.observe(element);
    measure();
    // React Flow begins where one looks and with what is there: building it twice would be most of the first load.
    const { level: first, around: known } = scene.current;
    view.current = current().views[viewKey(current())] ?? wholeView(first, known, size.current);
    element.style.setProperty("--zoom", String(view.current.zoom));
    setNear(nearby(first, known, view.current, size.current));
    setOpening(view.current);
    return () => observer.disconnect();
  }, [paintNow]);

  useLayoutEffect(repaint, [repaint, level, around, selection, link, runs, theme]);

  useEffect(() => {
    stage = {
      get view() {
        return view.current;
      },
      get size() {
        return size.current;
      },
      setView: (next, animate = false) => void flow.current?.setViewport(next, animate ? { duration: 220 } : undefined),
      toCanvas(x, y) {
        const box = (wrapper.current as HTMLDivElement).getBoundingClientRect();
        const { x: left, y: top, zoom } = view.current;
        return [(x - box.left - left) / zoom, (y - box.top - top) / zoom];
      },
      middle() {
        const box = (wrapper.current as HTMLDivElement).getBoundingClientRect();
        return this.toCanvas(box.left + box.width / 2, box.top + box.height / 2);
      },
      repaint,
    };
  }, [repaint]);

  const look = useCallback((next: View, animate: boolean) => {
    const { x, y, zoom } = view.current;
    if (next.x === x && next.y === y && next.zoom === zoom) return;
    void flow.current?.setViewport(next, animate ? { duration: 220 } : undefined);
  }, []);
  const showAll = useCallback((animate: boolean) => look(wholeView(scene.current.level, scene.current.around, size.current), animate), [look]);

  const fitted = useRef(0);
  const placeView = useCallback(() => {
    const known = current().views[viewKey(current())];
    if (known) look(known, false);
    else showAll(false);
  }, [look, showAll]);
  useEffect(placeView, [placeView, key]);
  useEffect(() => {
    if (catalogue.size && !current().views[viewKey(current())]) showAll(false);
  }, [catalogue, showAll]);
  useEffect(() => {
    if (fitted.current !== fit) showAll(true);
    fitted.current = fit;
  }, [fit, showAll]);

  const onMove = useCallback(
    (_: unknown, next: Viewport) => {
      view.current = next;
      wrapper.current?.style.setProperty("--zoom", String(next.zoom));
      cancelAnimationFrame(frame.current);
      paintNow();
    },
    [paintNow],
  );
  const onMoveEnd = useCallback((_: unknown, next: Viewport) => {
    changeTab((tab) => ({ ...tab, views: { ...tab.views, [viewKey(tab)]: next } }));
  }, []);

  const nodes = useMemo(
    () => placedNodes(level).flatMap((node) => (near.has(String(node.id)) ? [cardOf(node, geometry(node, around), selection.has(String(node.id)))] : [])),
    [level, around, near, selection],
  );

  const onNodesChange = useCallback((changes: NodeChange<Card>[]) => {
    const moved = new Map<string, [number, number]>();
    let chosen: Set<string> | null = null;
    for (const change of changes) {
      if (change.type === "position" && change.position) {
        const place = places(levelOf(current()), surroundings()).get(change.id);
        moved.set(change.id, [Math.round(change.position.x), Math.round(change.position.y) + (place?.look === "reroute" ? 0 : HEADER)]);
      } else if (change.type === "select") {
        chosen ??= new Set(current().selection);
        if (change.selected) chosen.add(change.id);
        else chosen.delete(change.id);
      }
    }
    if (moved.size) move(moved);
    if (chosen && !sameSet(chosen, current().selection)) select(chosen);
  }, []);

  const onConnectStart = useCallback((_: unknown, params: OnConnectStartParams) => {
    if (params.nodeId && params.handleId) show({ connecting: socketOf(params.nodeId, params.handleId) });
  }, []);

  const onConnectEnd = useCallback((event: MouseEvent | TouchEvent, state: FinalConnectionState) => {
    const from = useUi.getState().connecting;
    show({ connecting: null });
    if (!from || state.isValid) return;
    const { clientX: x, clientY: y } = "changedTouches" in event ? (event.changedTouches[0] as Touch) : event;
    const under = document.elementFromPoint(x, y)?.closest<HTMLElement>(".react-flow__node");
    if (under) {
      linkToNode(from, under.dataset.id as string);
      return;
    }
    if (from.side === "input" && typeof from.slot === "number") {
      const held = linksOf(levelOf(current())).find((entry) => String(entry.target_id) === from.node && entry.target_slot === from.slot);
      if (held) return edit((before) => disconnect(before, [held.id]));
    }
    show({ palette: { x, y, at: (stage as Stage).toCanvas(x, y), from } });
  }, []);

  const onMouseDownCapture = usePaintedDrag(wrapper, near);

  const targetAt = (event: React.MouseEvent): Target => {
    const element = event.target as HTMLElement;
    const node = element.closest<HTMLElement>(".react-flow__node");
    if (node) return { kind: "node", id: node.dataset.id as string, widget: element.closest<HTMLElement>("[data-widget]")?.dataset.widget };
    const [x, y] = (stage as Stage).toCanvas(event.clientX, event.clientY);
    const now = scene.current;
    const far = near.size === 0 ? nodeAt(now.level, now.around, { x, y }) : null;
    if (far) return { kind: "node", id: far };
    const found = linkAt(now.level, now.around, { x, y }, 8 / view.current.zoom);
    if (found) return { kind: "link", id: found.id };
    const group = groupAt(now.level, { x, y });
    return group ? { kind: "group", index: group.index } : { kind: "canvas" };
  };

  const onContextMenu = (event: React.MouseEvent) => {
    if ((event.target as HTMLElement).closest("input, textarea")) return;
    event.preventDefault();
    const target = targetAt(event);
    if (target.kind === "node" && !selection.has(target.id)) select([target.id]);
    if (target.kind === "link") select([], target.id);
    show({ menu: { x: event.clientX, y: event.clientY, at: (stage as Stage).toCanvas(event.clientX, event.clientY), target } });
  };

  const onPaneClick = (event: React.MouseEvent) => {
    const [x, y] = (stage as Stage).toCanvas(event.clientX, event.clientY);
    const found = linkAt(level, around, { x, y }, 7 / view.current.zoom);
    if (!found && near.size === 0 && nodeAt(level, around, { x, y })) return;
    select([], found?.id ?? null);
  };

  const onDoubleClick = (event: React.MouseEvent) => {
    if (!(event.target as HTMLElement).classList.contains("react-flow__pane")) return;
    const at = (stage as Stage).toCanvas(event.clientX, event.clientY);
    const group = groupAt(level, { x: at[0], y: at[1] });
    if (group) return show({ renaming: { kind: "group", index: group.index } });
    const far = near.size === 0 ? nodeAt(level, around, { x: at[0], y: at[1] }) : null;
    if (!far) return show({ palette: { x: event.clientX, y: event.clientY, at, from: null } });
    const place = places(level, around).get(far) as Geometry;
    const { width, height } = size.current;
    stage?.setView({ zoom: 1, x: width / 2 - place.x - place.width / 2, y: height / 2 - place.y - place.height / 2 }, true);
  };

  return (
    <div
      className="canvas"
      ref={wrapper}
      data-far={near.size === 0 || undefined}
      onMouseDownCapture={onMouseDownCapture}
      onContextMenu={onContextMenu}
      onDoubleClick={onDoubleClick}
      aria-label={t("app.canvas", { nodes: level.nodes.length, links: linksOf(level).length })}
    >
      <canvas ref={layer} className="canvas-layer" aria-hidden="true" />
      {opening && (
        <ReactFlow<Card>
          nodes={nodes}
          defaultViewport={opening}
          edges={NO_EDGES}
          nodeTypes={NODE_TYPES}
          onInit={(instance) => {
            flow.current = instance;
            placeView();
          }}
          onMove={onMove}
          onMoveEnd={onMoveEnd}
          onNodesChange={onNodesChange}
          onNodeDragStop={settleStep}
          onSelectionDragStop={settleStep}
          onConnectStart={onConnectStart}
          onConnect={finishConnection}
          onConnectEnd={onConnectEnd}
          isValidConnection={isSound as never}
          connectionLineComponent={ConnectionLine}
          connectionRadius={26}
          onPaneClick={onPaneClick}
          minZoom={MIN_ZOOM}
          maxZoom={MAX_ZOOM}
          zoomOnDoubleClick={false}
          panOnDrag={PAN_BUTTONS}
          selectionKeyCode={BOX_KEYS}
          multiSelectionKeyCode={MANY_KEYS}
          deleteKeyCode={null}
          disableKeyboardA11y
          proOptions={NO_MARK}
          elevateNodesOnSelect
          nodeDragThreshold={3}
          autoPanOnNodeFocus={false}
        />
      )}
      <GroupNames />
      {minimap && <Minimap level={level} around={around} view={view} size={size} />}
    </div>
  );
}

const NO_EDGES: never[] = [];
const PAN_BUTTONS = [0, 1];
const BOX_KEYS = ["Shift", "Control"];
const MANY_KEYS = ["Shift", "Control", "Meta"];
const NO_MARK = { hideAttribution: true };

/** Move nodes, and of a subgraph the two that stand for its outside. */
export function move(to: ReadonlyMap<string, [number, number]>): void {
  edit((level) => {
    let moved = moveNodes(level, to);
    for (const [id, [x, y]] of to) if (isBoundary(level, id)) moved = moveBoundary(moved as Subgraph, id, x, y - HEADER);
    return moved;
  }, "move");
}

function moveBoundary(level: Subgraph, id: string, x: number, y: number): Subgraph {
  const side = String(level.inputNode.id) === id ? "inputNode" : "outputNode";
  const [, , width = 140, height = 80] = level[side].bounding ?? [];
  return { ...level, [side]: { ...level[side], bounding: [x, y, width, height] } };
}

/** Dragging what is painted: groups, and nodes that are far. */
function usePaintedDrag(wrapper: React.RefObject<HTMLDivElement | null>, near: ReadonlySet<string>) {
  return (event: React.MouseEvent) => {
    if (event.button !== 0 || !(event.target as HTMLElement).classList.contains("react-flow__pane")) return;
    const level = levelOf(current());
    const around = surroundings();
    const [x, y] = (stage as Stage).toCanvas(event.clientX, event.clientY);
    if (event.shiftKey || event.ctrlKey) return;
    const node = near.size === 0 ? nodeAt(level, around, { x, y }) : null;
    const group = node ? null : groupAt(level, { x, y });
    if (!node && !group) return;
    event.stopPropagation();
    event.preventDefault();
    (document.activeElement as HTMLElement | null)?.blur?.();
    if (node && !current().selection.has(node)) select([node]);
    const start: Point = { x, y };
    const origin = new Map<string, [number, number]>();
    const members = group ? membersOf(level, around, (level.groups ?? [])[group.index] as never) : [...current().selection];
    for (const id of members) {
      const place = places(level, around).get(id);
      if (place) origin.set(id, [place.x, place.y + (place.look === "reroute" ? 0 : HEADER)]);
    }
    const before = group ? ([...(level.groups?.[group.index]?.bounding ?? [0, 0, 0, 0])] as [number, number, number, number]) : null;
    const drag = (moving: MouseEvent) => {
      const [toX, toY] = (stage as Stage).toCanvas(moving.clientX, moving.clientY);
      const [dx, dy] = [Math.round(toX - start.x), Math.round(toY - start.y)];
      if (group && before && group.part === "corner") {
        const bounding: [number, number, number, number] = [before[0], before[1], Math.max(80, before[2] + dx), Math.max(50, before[3] + dy)];
        return edit((now) => changeGroup(now, group.index, { bounding }), "move");
      }
      move(new Map([...origin].map(([id, [left, top]]) => [id, [left + dx, top + dy]])));
      if (group && before) {
        const bounding: [number, number, number, number] = [before[0] + dx, before[1] + dy, before[2], before[3]];
        edit((now) => changeGroup(now, group.index, { bounding }), "move");
      }
    };
    const finish = () => {
      window.removeEventListener("mousemove", drag);
      window.removeEventListener("mouseup", finish);
      settleStep();
    };
    window.addEventListener("mousemove", drag);
    window.addEventListener("mouseup", finish);
    wrapper.current?.focus();
  };
}

function socketOf(node: string, handle: string): Socket {
  const place = places(levelOf(current()), surroundings()).get(node);
  const side = handle.startsWith("o") ? "output" : "input";
  if (handle.startsWith("w:")) {
    const name = handle.slice(2);
    return { node, side, slot: name, type: place?.widgets.find((row) => row.input.name === name)?.input.type ?? "*" };
  }
  const index = Number(handle.slice(1));
  const rows = side === "output" ? place?.outputs : place?.inputs;
  const widget = place?.widgets.find((row) => row.slot === index);
  return { node, side, slot: index, type: rows?.find((row) => row.index === index)?.type ?? widget?.input.type ?? "*" };
}

function isSound(connection: Connection): boolean {
  if (!connection.sourceHandle || !connection.targetHandle) return false;
  const from = socketOf(connection.source, connection.sourceHandle);
  const to = socketOf(connection.target, connection.targetHandle);
  return from.side === "output" && to.side === "input" && fits(to.type, from.type) && !wouldCycle(levelOf(current()), from.node, to.node);
}

function finishConnection(connection: Connection): void {
  if (!connection.sourceHandle || !connection.targetHandle) return;
  joinSockets(socketOf(connection.source, connection.sourceHandle), socketOf(connection.target, connection.targetHandle));
}

/** Link two sockets, whichever way round they are given. */
export function joinSockets(first: Socket, second: Socket, kind: string | null = null): void {
  const [from, to] = first.side === "output" ? [first, second] : [second, first];
  edit((level) => connect(level, { origin: from.node, originSlot: from.slot as number, target: to.node, targetSlot: to.slot }, to.type), kind);
}

/** A link dropped on a node's body goes to the first socket that fits, an unlinked one if there is one. */
export function linkToNode(from: Socket, id: string, kind: string | null = null): boolean {
  const level = levelOf(current());
  const place = places(level, surroundings()).get(id);
  if (!place || id === from.node) return false;
  const side = from.side === "output" ? "input" : "output";
  const cycle = side === "input" ? wouldCycle(level, from.node, id) : wouldCycle(level, id, from.node);
  if (cycle) return false;
  const rows = side === "input" ? place.inputs : place.outputs;
  const fitting = rows.filter((row) => (side === "input" ? fits(row.type, from.type) : fits(from.type, row.type)));
  const exact = fitting.filter((row) => row.type === from.type);
  const row = [...exact, ...fitting].find((entry) => !entry.linked) ?? exact[0] ?? fitting[0];
  if (row) joinSockets(from, { node: id, side, slot: row.index, type: row.type }, kind);
  else {
    const widget = side === "input" ? place.widgets.find((entry) => entry.input.type === from.type) : undefined;
    if (!widget) return false;
    joinSockets(from, { node: id, side, slot: widget.slot ?? widget.input.name, type: widget.input.type }, kind);
  }
  return true;
}

function ConnectionLine({ fromX, fromY, toX, toY, fromHandle, connectionStatus }: ConnectionLineComponentProps) {
  const connecting = useUi((state) => state.connecting);
  const back = fromHandle.type === "target";
  const [from, to] = back ? [{ x: toX, y: toY }, { x: fromX, y: fromY }] : [{ x: fromX, y: fromY }, { x: toX, y: toY }];
  const out = bend(from, to);
  const path = `M${from.x},${from.y} C${from.x + out},${from.y} ${to.x - out},${to.y} ${to.x},${to.y}`;
  return <path d={path} fill="none" strokeWidth={2.5} stroke={typeColor(connecting?.type ?? "*")} opacity={connectionStatus === "invalid" ? 0.35 : 1} />;
}

/** One widget's value, from wherever on the editor it comes. */
export function writeWidget(node: string, key: string, value: unknown, kind: string | null = `widget ${node} ${key}`): void {
  edit((level) => mapNode(level, node, (before) => setWidget(before, key, value, surroundings())), kind);
}

export const linkOf = (id: Id) => linksById(levelOf(current())).get(String(id));
export const nodeOf = (id: string) => nodesById(levelOf(current())).get(id);
