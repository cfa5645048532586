/** What can be done with what is under the pointer. */

import { useLayoutEffect, useRef, useState } from "react";
import { linkOf, nodeOf } from "../canvas/Canvas";
import { useT } from "../i18n";
import { BYPASSED, MUTED, subgraphs } from "../graph/document";
import { addNode, addReroute, changeGroup, deleteGroup, disconnect, mapNodes, nextNodeId } from "../graph/edits";
import { alignToGrid, groupSelected, tidy } from "../state/commands";
import { changeTab, copySelected, current, deleteSelected, duplicateSelected, edit, fitView, levelOf, pasteText, select, toggleCollapsed, toggleMode } from "../state/editor";
import { downloadWorkflow, exportApi } from "../state/files";
import { dissolveSelected, makeSubgraph } from "../state/subgraph_commands";
import { type Menu, show, useUi } from "../state/ui";

const COLORS = ["#7a3b3b", "#7a5a33", "#3f6b45", "#33637a", "#45507f", "#6b4578", "#6d5f2e"];

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
  const [place, setPlace] = useState({ left: menu.x, top: menu.y });
  useLayoutEffect(() => {
    const { width, height } = (box.current as HTMLDivElement).getBoundingClientRect();
    setPlace({ left: Math.max(8, Math.min(menu.x, window.innerWidth - width - 8)), top: Math.max(8, Math.min(menu.y, window.innerHeight - height - 8)) });
    box.current?.querySelector("button")?.focus();
  }, [menu]);
  const close = () => show({ menu: null });
  const { sections, colors } = itemsOf(menu, t);
  const step = (event: React.KeyboardEvent) => {
    const buttons = [...(box.current?.querySelectorAll("button") ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    if (event.key === "ArrowDown") buttons[(at + 1) % buttons.length]?.focus();
    else if (event.key === "ArrowUp") buttons[(at - 1 + buttons.length) % buttons.length]?.focus();
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <>
      <div className="veil" onPointerDown={close} onContextMenu={(event) => event.preventDefault()} />
      <div className="menu" role="menu" ref={box} style={place} onKeyDown={step}>
        {colors && (
          <div className="swatches">
            <button type="button" className="swatch none" title={t("menu.noColor")} aria-label={t("menu.noColor")} onClick={() => { close(); colors(undefined); }} />
            {COLORS.map((color) => (
              <button type="button" key={color} className="swatch" style={{ background: color }} title={t("menu.color")} aria-label={`${t("menu.color")} ${color}`} onClick={() => { close(); colors(color); }} />
            ))}
          </div>
        )}
        {sections.map((items, index) => (
          <div className="menu-section" key={index}>
            {items.map((item) => (
              <button type="button" role="menuitem" key={item.label} data-danger={item.danger || undefined} onClick={() => { close(); item.act(); }}>
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

type Translate = ReturnType<typeof useT>;

function itemsOf(menu: Menu, t: Translate): { sections: Item[][]; colors?: (color: string | undefined) => void } {
  const { target, at } = menu;
  if (target.kind === "link") {
    const { id } = target;
    const spot: [number, number] = [Math.round(at[0]) - 22, Math.round(at[1]) - 13];
    return {
      sections: [
        [
          { label: t("menu.reroute"), act: () => edit((level) => addReroute(level, id, spot)) },
          { label: t("menu.disconnect"), keys: "Del", act: () => linkOf(id) && edit((level) => disconnect(level, [id])), danger: true },
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
          { label: t("menu.rename"), act: () => show({ renaming: { kind: "group", index } }) },
          { label: t("menu.ungroup"), act: () => edit((level) => deleteGroup(level, index)), danger: true },
        ],
      ],
    };
  }
  if (target.kind === "node") return nodeItems(target.id, target.widget, t);
  return {
    sections: [
      [
        { label: t("app.addNode"), keys: "/", act: () => show({ palette: { x: menu.x, y: menu.y, at, from: null } }) },
        { label: t("menu.note"), act: () => addNote(at) },
        { label: t("menu.paste"), keys: "Ctrl+V", act: () => void navigator.clipboard?.readText().then((text) => pasteText(text, { at })) },
      ],
      [
        { label: t("menu.selectAll"), keys: "Ctrl+A", act: () => select(levelOf(current()).nodes.map((node) => String(node.id))) },
        { label: t("app.layout"), keys: "L", act: () => void tidy() },
        { label: t("menu.align"), act: alignToGrid },
        { label: t("app.fit"), keys: ".", act: fitView },
      ],
      [
        { label: t("app.download"), act: downloadWorkflow },
        { label: t("app.export"), act: exportApi },
      ],
    ],
  };
}

function nodeItems(id: string, widget: string | undefined, t: Translate): ReturnType<typeof itemsOf> {
  const node = nodeOf(id);
  const isSubgraph = node !== undefined && subgraphs(current().history.present).has(node.type);
  const slot = widget === undefined ? undefined : node?.inputs?.find((input) => input.widget?.name === widget);
  const linked = slot?.link;
  const first: Item[] = [];
  if (linked !== null && linked !== undefined) first.push({ label: t("menu.toWidget"), act: () => edit((level) => disconnect(level, [linked])) });
  if (isSubgraph) {
    first.push({ label: t("menu.enter"), act: () => changeTab((tab) => ({ ...tab, path: [...tab.path, { holder: id, definition: node.type }], selection: new Set() })) });
    first.push({ label: t("menu.dissolve"), act: dissolveSelected });
  }
  return {
    colors: (color) =>
      edit((level) => mapNodes(level, current().selection, ({ color: _, bgcolor: __, ...rest }) => ({ ...rest, id: rest.id, type: rest.type, ...(color ? { color } : {}) }))),
    sections: [
      ...(first.length ? [first] : []),
      [
        { label: t("menu.rename"), act: () => show({ renaming: { kind: "node", id } }) },
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

function addNote(at: [number, number]): void {
  edit((level) =>
    addNode(level, {
      id: nextNodeId(level),
      type: "Note",
      pos: [Math.round(at[0]), Math.round(at[1])],
      size: [240, 120],
      flags: {},
      order: 0,
      mode: 0,
      inputs: [],
      outputs: [],
      properties: {},
      widgets_values: [""],
    }),
  );
}
