/** Links shown above the nodes: the one being drawn, the one under the pointer, and those of selected nodes. */

import { ViewportPortal } from "@xyflow/react";
import type { Level } from "../document/document";
import { between, linkPaths, midpoint, type ReroutePlace, reroutePlaces, svgPath } from "../document/links";
import type { EditContext } from "../document/widget_views";
import { useT } from "../i18n";
import { useTab } from "../state/editor";
import { type Pull, show, useUi } from "../state/ui";
import { typeColor } from "./palette";
import { stage } from "./stage";
import { socketName, socketOf, useWire } from "./wiring";

/** Above this number, individual links could not be told apart. */
const MOST_SELECTED = 8;

export function LinkOverlay({ level, env, near }: { level: Level; env: EditContext; near: boolean }) {
  const selection = useTab((tab) => tab.selection);
  const link = useTab((tab) => tab.link);
  const hovered = useUi((state) => state.hovered);
  const pull = useUi((state) => state.connecting);
  const raised = near && selection.size <= MOST_SELECTED ? selection : NONE;
  const paths = linkPaths(level, env);
  const over = paths.filter(
    (path) => raised.has(String(path.link.origin_id)) || raised.has(String(path.link.target_id)),
  );
  const marked = near && !pull ? paths.find((path) => path.link.id === (hovered ?? link)) : undefined;
  return (
    <ViewportPortal>
      <svg className="link-overlay" aria-hidden="true">
        {over.map((path) => (
          <path key={String(path.link.id)} d={svgPath(path.route)} stroke={typeColor(path.color)} />
        ))}
        {marked && (
          <path
            className="marked"
            d={svgPath(marked.route)}
            stroke={marked.link.id === link ? "var(--accent)" : typeColor(marked.color)}
          />
        )}
        {pull && <Wire pull={pull} />}
      </svg>
      {near && reroutePlaces(level, env).map((place) => <ReroutePoint key={String(place.id)} place={place} />)}
      {marked && <LinkKnob key={String(marked.link.id)} path={marked} />}
    </ViewportPortal>
  );
}

const NONE: ReadonlySet<string> = new Set();

/** The button in the middle of a link; it opens the link's menu. */
function LinkKnob({ path }: { path: ReturnType<typeof linkPaths>[number] }) {
  const t = useT();
  const { x, y } = midpoint(path.route);
  const { id, origin_id, origin_slot, target_id, target_slot } = path.link;
  const from = socketName({ node: String(origin_id), side: "output", slot: origin_slot, type: path.color });
  const to = socketName({ node: String(target_id), side: "input", slot: target_slot, type: path.color });
  const open = (event: React.MouseEvent) => {
    const [left, top] = stage?.toScreen(x, y) ?? [event.clientX, event.clientY];
    show({ menu: { x: left + 10, y: top + 6, at: [x, y], target: { kind: "link", id } } });
  };
  return (
    <button
      type="button"
      className="link-knob nopan"
      tabIndex={-1}
      title={`${from} → ${to}`}
      aria-label={t("link.menu", { from, to })}
      style={
        {
          transform: `translate(${x}px, ${y}px) translate(-50%, -50%)`,
          "--type": typeColor(path.color),
        } as React.CSSProperties
      }
      onClick={open}
    />
  );
}

/** A reroute point of a link: drag it, or remove it from its menu. */
function ReroutePoint({ place: { id, at, color } }: { place: ReroutePlace }) {
  const t = useT();
  const open = (event: React.MouseEvent) => {
    const [left, top] = stage?.toScreen(at.x, at.y) ?? [event.clientX, event.clientY];
    show({ menu: { x: left + 10, y: top + 6, at: [at.x, at.y], target: { kind: "reroute", id } } });
  };
  return (
    <button
      type="button"
      className="reroute-point nopan"
      data-reroute={id}
      title={color}
      aria-label={t("node.reroute", { type: color })}
      style={
        {
          transform: `translate(${at.x}px, ${at.y}px) translate(-50%, -50%)`,
          "--type": typeColor(color),
        } as React.CSSProperties
      }
      onClick={open}
    />
  );
}

function Wire({ pull }: { pull: Pull }) {
  const to = useWire((state) => state.to);
  const accepted = useWire((state) => state.over !== null);
  if (!to) return null;
  return pull.fixed.map(({ node, side, slot, type }) => {
    const end = socketOf(node, side, slot)?.at;
    if (!end) return null;
    const route = side === "output" ? between(end, to) : between(to, end);
    return (
      <path
        key={`${node}/${slot}`}
        className="wire"
        d={svgPath(route)}
        stroke={typeColor(type)}
        opacity={accepted ? 1 : 0.55}
      />
    );
  });
}
