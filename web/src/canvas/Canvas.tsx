/** The canvas: React Flow shows the view and nearby nodes as elements; one painted layer shows everything else. */

import "@xyflow/react/dist/base.css";
import { ReactFlow, type ReactFlowInstance, type Viewport } from "@xyflow/react";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { linksOf } from "../document/document";
import { type Geometry, geometry, placedNodes } from "../document/geometry";
import { linkAt, places } from "../document/links";
import { useT } from "../i18n";
import { changeTab, current, flatId, levelOf, select, useEditor, useTab, type View, viewKey } from "../state/editor";
import { useRuns } from "../state/runs";
import { useSettings } from "../state/settings";
import { show, useUi } from "../state/ui";
import { Announcer } from "../widgets/Announcer";
import { cardOf, NO_NODES, nearby, sameSet } from "./cards";
import { GroupNames } from "./GroupNames";
import { type Box, groupAt, nodeAt } from "./hits";
import { LinkOverlay } from "./LinkOverlay";
import { Minimap } from "./Minimap";
import { type Card, NodeCard } from "./NodeCard";
import { paint } from "./painter";
import { MAX_ZOOM, MIN_ZOOM, setStage, stage, wholeView } from "./stage";
import { openMenu, useGestures } from "./useGestures";
import { paintedSocketAt } from "./wiring";

const NODE_TYPES = { card: NodeCard };
/** Duration of a view change by a command, in milliseconds. */
const GLIDE = 220;

export function Canvas() {
  const t = useT();
  const wrapper = useRef<HTMLDivElement>(null);
  const layer = useRef<HTMLCanvasElement>(null);
  const flow = useRef<ReactFlowInstance<Card> | null>(null);
  const view = useRef<View>({ x: 60, y: 60, zoom: 0.8 });
  const aim = useRef<{ view: View; until: number } | null>(null);
  const size = useRef({ width: 1, height: 1 });
  const frame = useRef(0);
  const tabId = useTab((tab) => tab.id);
  const key = useTab((tab) => `${tab.id}/${viewKey(tab)}`);
  const level = useTab(levelOf);
  const doc = useTab((tab) => tab.history.present);
  const selection = useTab((tab) => tab.selection);
  const groups = useTab((tab) => tab.groups);
  const link = useTab((tab) => tab.link);
  const catalogue = useEditor((state) => state.catalogue);
  const fit = useEditor((state) => state.fit);
  const runs = useRuns((state) => state.nodes[tabId]);
  const theme = useSettings((state) => state.theme);
  const minimap = useSettings((state) => state.minimap);
  const env = useMemo(() => ({ doc, catalogue }), [doc, catalogue]);
  const [near, setNear] = useState<ReadonlySet<string>>(NO_NODES);
  /** The initial view; null until the canvas size is known. */
  const [opening, setOpening] = useState<View | null>(null);
  const [box, setBox] = useState<Box | null>(null);
  const pull = useUi((state) => state.connecting);
  const scene = useRef({ level, env, selection, groups, link, runs, near, pull });
  scene.current = { level, env, selection, groups, link, runs, near, pull };
  useGestures(wrapper, setBox);

  const again = useRef<() => void>(() => {});
  const paintNow = useCallback(() => {
    frame.current = 0;
    const context = layer.current?.getContext("2d");
    if (!context) return;
    const now = scene.current;
    const shown = nearby(now.level, now.env, view.current, size.current);
    setNear((before) => (sameSet(before, shown) ? before : shown));
    paint(context, {
      ...now,
      view: view.current,
      ...size.current,
      ratio: Math.min(2, window.devicePixelRatio),
      far: shown.size === 0,
      runs: now.runs ?? {},
      prefix: flatId(current(), ""),
      repaint: () => again.current(),
    });
  }, []);
  const repaint = useCallback(() => {
    frame.current ||= requestAnimationFrame(paintNow);
  }, [paintNow]);
  again.current = repaint;

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
    // Start React Flow with the right view and nodes: building it twice would dominate the first load.
    const { level: first, env: known } = scene.current;
    view.current = current().views[viewKey(current())] ?? wholeView(first, known, size.current);
    element.style.setProperty("--zoom", String(view.current.zoom));
    setNear(nearby(first, known, view.current, size.current));
    setOpening(view.current);
    return () => observer.disconnect();
  }, [paintNow]);

  useLayoutEffect(repaint, [repaint, level, env, selection, groups, link, runs, theme, pull]);

  const look = useCallback((next: View, animate = false) => {
    const { x, y, zoom } = view.current;
    if (next.x === x && next.y === y && next.zoom === zoom) return;
    aim.current = animate ? { view: next, until: performance.now() + GLIDE } : null;
    void flow.current?.setViewport(next, animate ? { duration: GLIDE } : undefined);
  }, []);

  useEffect(() => {
    const corner = () => (wrapper.current as HTMLDivElement).getBoundingClientRect();
    setStage({
      get view() {
        return view.current;
      },
      get aim() {
        return aim.current && performance.now() < aim.current.until ? aim.current.view : view.current;
      },
      get size() {
        return size.current;
      },
      get far() {
        return scene.current.near.size === 0;
      },
      pointer: null,
      setView: look,
      toCanvas(x, y) {
        const { left, top } = corner();
        const { x: dx, y: dy, zoom } = view.current;
        return [(x - left - dx) / zoom, (y - top - dy) / zoom];
      },
      toScreen(x, y) {
        const { left, top } = corner();
        const { x: dx, y: dy, zoom } = view.current;
        return [x * zoom + dx + left, y * zoom + dy + top];
      },
      middle() {
        const { x, y, zoom } = view.current;
        return [(size.current.width / 2 - x) / zoom, (size.current.height / 2 - y) / zoom];
      },
      repaint,
      paintNow,
    });
  }, [repaint, paintNow, look]);

  const showAll = useCallback(
    (animate: boolean) => look(wholeView(scene.current.level, scene.current.env, size.current), animate),
    [look],
  );

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
    (by: unknown, next: Viewport) => {
      view.current = next;
      if (by) aim.current = null; // the user moved the view, so it is no longer moving to a target
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
    () =>
      placedNodes(level).flatMap((node) =>
        near.has(String(node.id)) ? [cardOf(node, geometry(node, env), selection.has(String(node.id)))] : [],
      ),
    [level, env, near, selection],
  );

  // In a field that is being edited, the right button opens the browser's menu: copy, paste, spelling.
  const onMouseDown = (event: React.MouseEvent) => {
    const field = textFieldOf(event);
    if (event.button === 2 && field && field !== document.activeElement) event.preventDefault();
  };
  const onContextMenu = (event: React.MouseEvent) => {
    const field = textFieldOf(event);
    if (field && (event.button !== 2 || field === document.activeElement)) return;
    event.preventDefault();
    openMenu(event.target as HTMLElement, event.clientX, event.clientY);
  };

  const onPaneClick = (event: React.MouseEvent) => {
    const [x, y] = stage?.toCanvas(event.clientX, event.clientY) ?? [0, 0];
    if (near.size === 0 && nodeAt(level, env, { x, y })) return;
    select([], linkAt(level, env, { x, y }, 7 / view.current.zoom)?.id ?? null);
  };

  const onPointerMove = (event: React.PointerEvent) => {
    if (!stage) return;
    stage.pointer = stage.toCanvas(event.clientX, event.clientY);
    const target = event.target as HTMLElement;
    if (target.classList.contains("link-knob") || event.pointerType === "touch") return;
    const free = !event.buttons && near.size > 0 && target.classList.contains("react-flow__pane");
    const [x, y] = stage.pointer;
    const hovered = free ? (linkAt(level, env, { x, y }, 6 / view.current.zoom)?.id ?? null) : null;
    if (hovered !== useUi.getState().hovered) show({ hovered });
    const onSocket =
      near.size === 0 && !event.buttons && paintedSocketAt(level, env, { x, y }, view.current.zoom) !== null;
    wrapper.current?.toggleAttribute("data-on-socket", onSocket);
  };

  const onDoubleClick = (event: React.MouseEvent) => {
    if (!(event.target as HTMLElement).classList.contains("react-flow__pane")) return;
    const at = stage?.toCanvas(event.clientX, event.clientY) ?? [0, 0];
    const point = { x: at[0], y: at[1] };
    const far = near.size === 0 ? nodeAt(level, env, point) : null;
    const group = far ? null : groupAt(level, point);
    if (group) return show({ renaming: { kind: "group", index: group.index } });
    if (!far) return show({ palette: { x: event.clientX, y: event.clientY, at, from: null } });
    const place = places(level, env).get(far) as Geometry;
    const { width, height } = size.current;
    stage?.setView(
      { zoom: 1, x: width / 2 - place.x - place.width / 2, y: height / 2 - place.y - place.height / 2 },
      true,
    );
  };

  return (
    <div
      className="canvas"
      ref={wrapper}
      role="application"
      tabIndex={-1}
      data-far={near.size === 0 || undefined}
      onMouseDown={onMouseDown}
      onContextMenu={onContextMenu}
      onDoubleClick={onDoubleClick}
      onPointerMove={onPointerMove}
      onPointerLeave={() => {
        if (stage) stage.pointer = null;
      }}
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
          onPaneClick={onPaneClick}
          minZoom={MIN_ZOOM}
          maxZoom={MAX_ZOOM}
          zoomOnDoubleClick={false}
          panOnDrag={PAN_BUTTONS}
          panActivationKeyCode={null}
          selectionKeyCode={null}
          multiSelectionKeyCode={null}
          zoomActivationKeyCode={null}
          deleteKeyCode={null}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          elementsSelectable={false}
          disableKeyboardA11y
          proOptions={NO_MARK}
          elevateNodesOnSelect
          autoPanOnNodeFocus={false}
        >
          <LinkOverlay level={level} env={env} near={near.size > 0} />
          {box && <SelectionBox box={box} view={view.current} />}
        </ReactFlow>
      )}
      <GroupNames />
      {!level.nodes.length && <p className="canvas-hint">{t("canvas.hint")}</p>}
      <Announcer />
      {minimap && <Minimap level={level} env={env} view={view} size={size} />}
    </div>
  );
}

const NO_EDGES: never[] = [];
const PAN_BUTTONS = [0, 1];
const NO_MARK = { hideAttribution: true };

function SelectionBox({ box, view }: { box: Box; view: View }) {
  const { x, y, zoom } = view;
  return (
    <div
      className="selection-box"
      style={{ left: box.x * zoom + x, top: box.y * zoom + y, width: box.width * zoom, height: box.height * zoom }}
    />
  );
}

const textFieldOf = (event: React.MouseEvent): Element | null =>
  (event.target as HTMLElement).closest("input:not([type=checkbox]), textarea");
