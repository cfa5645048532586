/** All nodes, found by name, category or socket type. */

import { useEffect, useMemo, useRef, useState } from "react";
import { useT } from "../i18n";
import { fits, type GraphNode } from "../graph/document";
import { addNode, newNode, nextNodeId } from "../graph/edits";
import { GRID } from "../graph/geometry";
import type { NodeDef } from "../graph/schema";
import { linkToNode } from "../canvas/Canvas";
import { typeColor } from "../canvas/palette";
import { edit, levelOf, current, select, useEditor } from "../state/editor";
import { type Palette, show, type Socket, useUi } from "../state/ui";
import { Icon } from "../widgets/Icon";

export function SearchPalette() {
  const palette = useUi((state) => state.palette);
  return palette && <OpenPalette key={`${palette.x},${palette.y}`} palette={palette} />;
}

const EXTRA: NodeDef[] = [plain("Reroute", "Reroute", ["*"], ["*"]), plain("Note", "Note", [], [])];

function plain(name: string, title: string, inputs: string[], outputs: string[]): NodeDef {
  return {
    name,
    title,
    description: "",
    category: "canvas",
    inputs: inputs.map((type) => ({ name: "", type, required: true, widget: null, controlled: false, folder: "input" })),
    outputs: outputs.map((type) => ({ name: "", type, isList: false })),
    outputNode: false,
    deprecated: false,
    experimental: false,
  };
}

function OpenPalette({ palette }: { palette: Palette }) {
  const t = useT();
  const catalogue = useEditor((state) => state.catalogue);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const found = useMemo(() => search([...catalogue.values(), ...EXTRA], text, palette.from), [catalogue, text, palette.from]);
  useEffect(() => void list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at, found]);
  const close = () => show({ palette: null });
  const choose = (def: NodeDef | undefined) => {
    close();
    if (def) place(def, palette);
  };
  const left = Math.max(12, Math.min(palette.x - 20, window.innerWidth - 452));
  const top = Math.max(60, Math.min(palette.y - 20, window.innerHeight - 452));
  return (
    <>
      <div className="veil" onPointerDown={close} />
      <div className="palette" role="dialog" aria-label={t("palette.search")} style={{ left, top }}>
        <div className="palette-head">
          <Icon name="search" />
          <input
            autoFocus
            placeholder={t("palette.search")}
            aria-label={t("palette.search")}
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setAt(0);
            }}
            onKeyDown={(event) => {
              event.stopPropagation();
              if (event.key === "Escape") close();
              else if (event.key === "Enter") choose(found[at]);
              else if (event.key === "ArrowDown") setAt(Math.min(found.length - 1, at + 1));
              else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
              else return;
              event.preventDefault();
            }}
          />
          {palette.from && (
            <span className="chip" style={{ "--type": typeColor(palette.from.type) } as React.CSSProperties}>
              {t("palette.fits", { type: palette.from.type })}
            </span>
          )}
        </div>
        <div className="palette-list" role="listbox" aria-label={t("palette.search")} ref={list}>
          {found.slice(0, 80).map((def, index) => (
            <div key={def.name} role="option" aria-selected={index === at} className="option" onPointerMove={() => setAt(index)} onClick={() => choose(def)}>
              <span className="option-main">
                <strong>{def.title}</strong>
                <small>{def.category}</small>
              </span>
              {def.description && <span className="option-note">{def.description}</span>}
              <span className="option-types">
                {def.outputs.map((output, slot) => (
                  <i key={slot} style={{ background: typeColor(output.type) }} title={output.type} />
                ))}
              </span>
            </div>
          ))}
          {!found.length && <p className="hint">{t("palette.none")}</p>}
        </div>
      </div>
    </>
  );
}

/** The nodes that match, best first. */
export function search(defs: NodeDef[], text: string, from: Socket | null): NodeDef[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = defs.flatMap((def) => {
    if (from && !meets(def, from)) return [];
    const title = def.title.toLowerCase();
    const name = def.name.toLowerCase();
    const types = [...def.inputs, ...def.outputs].map((entry) => entry.type.toLowerCase());
    let score = 0;
    for (const word of words) {
      if (title === word || name === word) score += 100;
      else if (title.startsWith(word) || name.startsWith(word)) score += 60;
      else if (title.includes(` ${word}`)) score += 45;
      else if (title.includes(word) || name.includes(word)) score += 30;
      else if (def.category.toLowerCase().includes(word)) score += 12;
      else if (types.some((type) => type.includes(word))) score += 8;
      else return [];
    }
    score += FAVOURITES.has(def.name) ? 9 : 0;
    if (from && exactly(def, from)) score += 20;
    if (def.deprecated || def.category.startsWith("_") || /advanced|training|api/.test(def.category)) score -= 8;
    return [{ def, score }];
  });
  return scored.sort((first, second) => second.score - first.score || first.def.title.localeCompare(second.def.title)).map(({ def }) => def);
}

const FAVOURITES = new Set(["KSampler", "CLIPTextEncode", "CheckpointLoaderSimple", "VAEDecode", "VAEEncode", "EmptyLatentImage", "SaveImage", "PreviewImage", "LoadImage", "LoraLoader"]);

const meets = (def: NodeDef, from: Socket) =>
  from.side === "output" ? def.inputs.some((input) => fits(input.type, from.type)) : def.outputs.some((output) => fits(from.type, output.type));

const exactly = (def: NodeDef, from: Socket) =>
  from.side === "output" ? def.inputs.some((input) => input.type === from.type) : def.outputs.some((output) => output.type === from.type);

function place(def: NodeDef, { at, from }: Palette): void {
  const snap = (value: number) => Math.round(value / GRID) * GRID;
  const id = nextNodeId(levelOf(current()));
  const [x, y] = at;
  const spot: [number, number] = [snap(from?.side === "input" ? x - 270 : x), snap(y)];
  edit((level) => addNode(level, special(def, id, spot) ?? newNode(def, id, spot)), `add ${id}`);
  if (from) linkAsOneStep(from, String(id));
  select([String(id)]);
}

/** The link joins the step that made the node. */
function linkAsOneStep(from: Socket, id: string): void {
  linkToNode(from, id, `add ${id}`);
}

function special(def: NodeDef, id: number, pos: [number, number]): GraphNode | null {
  if (def.name === "Note") {
    return { id, type: "Note", pos, size: [240, 120], flags: {}, order: 0, mode: 0, inputs: [], outputs: [], properties: {}, widgets_values: [""], color: "#6d5f2e", bgcolor: "#5a4f28" };
  }
  if (def.name === "Reroute") {
    return { id, type: "Reroute", pos, size: [75, 26], flags: {}, order: 0, mode: 0, inputs: [{ name: "", type: "*", link: null }], outputs: [{ name: "", type: "*", links: null, slot_index: 0 }], properties: { showOutputText: false, horizontal: false } };
  }
  return null;
}
