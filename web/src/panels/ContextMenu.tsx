/** The menu for the element under the pointer. */

import { useLayoutEffect, useRef, useState } from "react";
import { socketOf, unlink } from "../canvas/wiring";
import { isChosen } from "../document/app_fields";
import { BYPASSED, type Id, MUTED, type Subgraph, subgraphs } from "../document/document";
import { addReroute, changeGroup, disconnect, mapNodes } from "../document/edits";
import { SLOT } from "../document/geometry";
import { groupPlan } from "../document/group_nodes";
import { deleteGroups, membersOf } from "../document/grouping";
import { uses } from "../document/lifting";
import { legAt, linkPaths, places } from "../document/links";
import { addNativeReroute, deleteReroutes } from "../document/native_reroutes";
import { useT } from "../i18n";
import { showInApp } from "../state/app";
import { addNote, alignToGrid, fitGroup, groupSelected, linkOf, nodeOf, tidy } from "../state/commands";
import {
  copySelected,
  current,
  deleteSelected,
  duplicateSelected,
  edit,
  editContext,
  fitView,
  flatId,
  levelOf,
  pasteText,
  select,
  toggleCollapsed,
  toggleMode,
} from "../state/editor";
import { downloadWorkflow, exportApi } from "../state/files";
import { about, openHelp } from "../state/help";
import { isBoundary } from "../state/moving";
import {
  askPortName,
  dissolveSelected,
  dropPort,
  enterSubgraph,
  groupToSubgraph,
  leaveTo,
  liftedHere,
  makeSubgraph,
  makeUnique,
  shiftPort,
  toggleLifted,
} from "../state/subgraph_commands";
import { placeOf } from "../state/sweeps";
import { type Menu, show, useUi } from "../state/ui";
import { openLesson } from "./lessons";
import { useReturnedFocus } from "./useReturnedFocus";

const COLORS = ["#7a3b3b", "#7a5a33", "#3f6b45", "#33637a", "#45507f", "#6b4578", "#6d5f2e"];

/** Items are listed vertically; colours are side by side. */
const ITEMS = ".menu-section [role=menuitem]";

interface Item {
  label: string;
  keys?: string;
  act(): void;
  danger?: boolean;
}

export function ContextMenu() {
  const menu = useUi((state) => state.menu);
  return menu && <OpenMenu key={`${menu.x},${menu.y}`} menu={menu} />;
}

function OpenMenu({ menu }: { menu: Menu }) {
  const t = useT();
  const box = useRef<HTMLDivElement>(null);
  useReturnedFocus();
  const [place, setPlace] = useState({ left: menu.x, top: menu.y });
  useLayoutEffect(() => {
    const { width, height } = (box.current as HTMLDivElement).getBoundingClientRect();
    setPlace({
      left: Math.max(8, Math.min(menu.x, window.innerWidth - width - 8)),
      top: Math.max(8, Math.min(menu.y, window.innerHeight - height - 8)),
    });
    box.current?.querySelector<HTMLElement>(ITEMS)?.focus();
  }, [menu]);
  const close = () => show({ menu: null });
  const { sections, colors } = itemsOf(menu, t);
  const step = (event: React.KeyboardEvent) => {
    const items = [...(box.current?.querySelectorAll<HTMLElement>(ITEMS) ?? [])];
    const swatches = [...(box.current?.querySelectorAll<HTMLElement>(".swatch") ?? [])];
    const aside = swatches.indexOf(document.activeElement as HTMLElement);
    const at = items.indexOf(document.activeElement as HTMLElement);
    const go = (list: HTMLElement[], index: number) => list.at(index % Math.max(1, list.length))?.focus();
    if (event.key === "ArrowDown") go(items, at + 1);
    else if (event.key === "ArrowUp")
      at <= 0 && aside < 0 && swatches.length ? go(swatches, 0) : go(items, aside < 0 ? at - 1 : -1);
    else if (event.key === "ArrowRight") go(swatches, aside + 1);
    else if (event.key === "ArrowLeft") go(swatches, aside - 1);
    else if (event.key === "Home") go(items, 0);
    else if (event.key === "End") go(items, -1);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <>
      <div className="veil" onPointerDown={close} onContextMenu={(event) => event.preventDefault()} />
      <div className="menu" role="menu" ref={box} style={place} onKeyDown={step}>
        <MenuHelp menu={menu} />
        {colors && (
          <div className="swatches" role="group" aria-label={t("menu.color")}>
            <button
              type="button"
              role="menuitem"
              className="swatch none"
              title={t("menu.noColor")}
              aria-label={t("menu.noColor")}
              onClick={() => {
                close();
                colors(undefined);
              }}
            />
            {COLORS.map((color) => (
              <button
                type="button"
                role="menuitem"
                key={color}
                className="swatch"
                style={{ background: color }}
                title={t("menu.color")}
                aria-label={`${t("menu.color")} ${color}`}
                onClick={() => {
                  close();
                  colors(color);
                }}
              />
            ))}
          </div>
        )}
        {sections.map((items, index) => (
          <div className="menu-section" key={index}>
            {items.map((item) => (
              <button
                type="button"
                role="menuitem"
                key={item.label}
                data-danger={item.danger || undefined}
                onClick={() => {
                  close();
                  item.act();
                }}
              >
                <span>{item.label}</span>
                {item.keys && <kbd>{item.keys}</kbd>}
              </button>
            ))}
          </div>
        ))}
      </div>
    </>
  );
}

/** What the field or node does. A long press opens the menu, so this is the tip for fingers. */
function MenuHelp({ menu: { target } }: { menu: Menu }) {
  const found =
    target.kind === "node" ? about(target.id, target.widget === undefined ? {} : { widget: target.widget }) : null;
  if (!found?.text) return null;
  return (
    <div className="menu-help">
      <strong>{found.title}</strong>
      {found.socket && <small>{found.socket}</small>}
      <p>{found.text}</p>
    </div>
  );
}

const membersIn = (index: number): string[] => {
  const level = levelOf(current());
  const group = level.groups?.[index];
  return group ? membersOf(level, editContext(), group) : [];
};

/** Insert a node into a link: search the nodes that accept its origin; link the node to the target if possible. */
function insertInto({ x, y, at }: Menu, id: Id): void {
  const link = linkOf(id);
  if (!link) return;
  const from = socketOf(String(link.origin_id), "output", link.origin_slot);
  if (from) show({ palette: { x, y, at, from, onto: id } });
}

/** Add a reroute point to the link at the pointer. */
function bend(id: Id, [x, y]: [number, number]): void {
  const path = linkPaths(levelOf(current()), editContext()).find(({ link }) => link.id === id);
  if (path) edit((level) => addNativeReroute(level, id, [Math.round(x), Math.round(y)], legAt(path, { x, y })));
}

type Translate = ReturnType<typeof useT>;

function itemsOf(menu: Menu, t: Translate): { sections: Item[][]; colors?: (color: string | undefined) => void } {
  const { target, at } = menu;
  if (target.kind === "link") {
    const { id } = target;
    const spot: [number, number] = [Math.round(at[0]) - 22, Math.round(at[1]) - 13];
    return {
      sections: [
        [
          { label: t("menu.bend"), act: () => bend(id, at) },
          { label: t("menu.reroute"), act: () => edit((level) => addReroute(level, id, spot)) },
          { label: t("menu.insert"), act: () => insertInto(menu, id) },
          { label: t("menu.disconnect"), keys: "Del", act: () => linkOf(id) && unlink([id]), danger: true },
        ],
      ],
    };
  }
  if (target.kind === "reroute") {
    const { id } = target;
    return {
      sections: [
        [
          {
            label: t("menu.unbend"),
            keys: "Del",
            act: () => edit((level) => deleteReroutes(level, new Set([String(id)]))),
            danger: true,
          },
        ],
      ],
    };
  }
  if (target.kind === "group") {
    const { index } = target;
    return {
      colors: (color) => edit((level) => changeGroup(level, index, { color: color ?? "#888888" })),
      sections: [
        [
          { label: t("menu.rename"), keys: "F2", act: () => show({ renaming: { kind: "group", index } }) },
          { label: t("menu.fitGroup"), act: () => fitGroup(index, new Set(membersIn(index))) },
          { label: t("menu.selectMembers"), act: () => select(membersIn(index)) },
          {
            label: t("menu.copy"),
            keys: "Ctrl+C",
            act: () => void navigator.clipboard?.writeText(copySelected() ?? ""),
          },
        ],
        [
          {
            label: t("menu.ungroup"),
            keys: "Del",
            act: () => edit((level) => deleteGroups(level, new Set([index]))),
            danger: true,
          },
        ],
      ],
    };
  }
  if (target.kind === "node" && isBoundary(levelOf(current()), target.id)) return portItems(target.id, at, t);
  if (target.kind === "node") return nodeItems(menu, target.id, target.widget, t);
  return {
    sections: [
      [
        { label: t("app.addNode"), keys: "/", act: () => show({ palette: { x: menu.x, y: menu.y, at, from: null } }) },
        { label: t("menu.note"), act: () => addNote(at) },
        {
          label: t("menu.paste"),
          keys: "Ctrl+V",
          act: () => void navigator.clipboard?.readText().then((text) => pasteText(text, { at })),
        },
      ],
      [
        {
          label: t("menu.selectAll"),
          keys: "Ctrl+A",
          act: () => select(levelOf(current()).nodes.map((node) => String(node.id))),
        },
        { label: t("app.layout"), keys: "L", act: () => void tidy() },
        { label: t("menu.align"), act: alignToGrid },
        { label: t("app.fit"), keys: ".", act: fitView },
      ],
      [
        { label: t("missing.title"), act: () => show({ panel: "missing" }) },
        { label: t("app.download"), act: downloadWorkflow },
        { label: t("app.export"), act: exportApi },
      ],
      [{ label: t("lesson.menu"), act: () => void openLesson() }],
    ],
  };
}

/** The menu of a port, inside a subgraph or on the subgraph's node. */
function portItems(id: string, at: [number, number], t: Translate): ReturnType<typeof itemsOf> {
  const level = levelOf(current()) as Subgraph;
  const place = places(level, editContext()).get(id);
  const side = String(level.inputNode.id) === id ? "inputs" : "outputs";
  const rows = (side === "inputs" ? place?.outputs : place?.inputs) ?? [];
  const index = rows.findIndex((row) => Math.abs((place?.y ?? 0) + row.y - at[1]) <= SLOT / 2);
  const ports = level[side];
  const leave = { label: t("menu.leave"), act: () => leaveTo(current().path.length - 1) };
  if (index < 0 || index >= ports.length) return { sections: [[leave]] };
  const port = { definition: level.id, side, index } as const;
  return {
    sections: [
      [
        { label: t("menu.rename"), act: () => void askPortName(port) },
        ...(index > 0 ? [{ label: t("menu.up"), act: () => shiftPort(port, -1) }] : []),
        ...(index < ports.length - 1 ? [{ label: t("menu.down"), act: () => shiftPort(port, 1) }] : []),
      ],
      [{ label: t("menu.removePort"), act: () => dropPort(port), danger: true }],
      [leave],
    ],
  };
}

function nodeItems(menu: Menu, id: string, widget: string | undefined, t: Translate): ReturnType<typeof itemsOf> {
  const node = nodeOf(id);
  const isSubgraph = node !== undefined && subgraphs(current().history.present).has(node.type);
  const slot = widget === undefined ? undefined : node?.inputs?.find((input) => input.widget?.name === widget);
  const linked = slot?.link;
  const found = about(id, widget === undefined ? {} : { widget });
  const first: Item[] = [];
  const field =
    widget === undefined ? undefined : socketOf(id, "input", slot ? (node?.inputs ?? []).indexOf(slot) : widget);
  if (field && !field.linked)
    first.push({
      label: t("menu.toInput"),
      act: () =>
        show({ palette: { x: menu.x, y: menu.y, at: [menu.at[0] - 60, menu.at[1]], from: field, sockets: true } }),
    });
  const place = widget === undefined ? null : placeOf(id, widget);
  if (place && !field?.linked) first.push({ label: t("menu.sweep"), act: () => show({ sweep: place }) });
  const name = widget === undefined ? "" : isSubgraph ? widget.slice(widget.indexOf("/") + 1) : widget;
  const lifted = name && !linked ? liftedHere(id, name) : null;
  if (lifted !== null) {
    const definition = current().path.at(-1)?.definition as string;
    first.push({
      label: t(lifted ? "menu.unlift" : "menu.lift"),
      act: () => toggleLifted(definition, id, name, !lifted),
    });
  }
  if (isSubgraph && widget !== undefined && !widget.startsWith("-1/")) {
    const cut = widget.indexOf("/");
    first.push({
      label: t("menu.hideField"),
      act: () => toggleLifted(node.type, widget.slice(0, cut), widget.slice(cut + 1), false),
    });
  }
  if (widget !== undefined && (linked === null || linked === undefined)) {
    const on = !(current().path.length === 0 && isChosen(current().history.present, id, name || widget));
    first.push({
      label: t(on ? "menu.showInApp" : "menu.hideInApp"),
      act: () => void showInApp(flatId(current(), id), widget, on),
    });
  }
  if (linked !== null && linked !== undefined)
    first.push({ label: t("menu.toWidget"), act: () => edit((level) => disconnect(level, [linked])) });
  if (isSubgraph) {
    first.push({ label: t("menu.enter"), act: () => enterSubgraph(id) });
    first.push({ label: t("menu.fields"), act: () => show({ fields: id }) });
    if (uses(current().history.present, node.type) > 1)
      first.push({ label: t("menu.makeUnique"), act: () => makeUnique(id) });
    first.push({ label: t("menu.dissolve"), act: dissolveSelected });
  }
  if (node && groupPlan(node.type, editContext()))
    first.push({ label: t("menu.groupToSubgraph"), act: () => groupToSubgraph(node.type) });
  return {
    colors: (color) =>
      edit((level) =>
        mapNodes(level, current().selection, ({ color: _, bgcolor: __, ...rest }) => ({
          ...rest,
          id: rest.id,
          type: rest.type,
          ...(color ? { color } : {}),
        })),
      ),
    sections: [
      ...(first.length ? [first] : []),
      [
        ...(found ? [{ label: t("app.help"), keys: "F1", act: () => openHelp(found.type, found.part) }] : []),
        { label: t("menu.rename"), keys: "F2", act: () => show({ renaming: { kind: "node", id } }) },
        { label: t("menu.collapse"), keys: "Alt+C", act: toggleCollapsed },
        { label: t("menu.mute"), keys: "Ctrl+M", act: () => toggleMode(MUTED) },
        { label: t("menu.bypass"), keys: "Ctrl+B", act: () => toggleMode(BYPASSED) },
      ],
      [
        { label: t("menu.copy"), keys: "Ctrl+C", act: () => void navigator.clipboard?.writeText(copySelected() ?? "") },
        { label: t("menu.duplicate"), keys: "Ctrl+D", act: duplicateSelected },
        { label: t("menu.group"), keys: "Ctrl+G", act: groupSelected },
        { label: t("menu.toSubgraph"), act: makeSubgraph },
      ],
      [{ label: t("menu.delete"), keys: "Del", act: deleteSelected, danger: true }],
    ],
  };
}
