/** Explains a node: what it does, its papers, its fields and outputs, and workflows that show it. */

import { useEffect, useMemo, useRef, useState } from "react";
import { stage } from "../canvas/stage";
import { nodesById } from "../document/document";
import { newNode } from "../document/new_nodes";
import type { InputDef, NodeDef, OutputDef } from "../document/schema";
import { examplesOf } from "../document/wired";
import { translated, useT, useWords } from "../i18n";
import { putNode } from "../state/commands";
import { levelOf, useEditor, useTab } from "../state/editor";
import { factsOf, openHelp } from "../state/help";
import { uncoverCanvas, useUi } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { openDemo } from "./demos";
import { examplePicture, exampleTitle, openExample } from "./examples";
import { search } from "./node_search";
import { focusNode } from "./walking";

const MOST_FOUND = 60;

export function HelpPanel() {
  const t = useT();
  const catalogue = useEditor((state) => state.catalogue);
  const help = useWords((state) => state.help);
  const asked = useUi((state) => state.help);
  const [text, setText] = useState("");
  const selected = useTab((tab) => {
    const [id] = tab.selection;
    return tab.selection.size === 1 && id !== undefined ? nodesById(levelOf(tab)).get(id)?.type : undefined;
  });
  // Selecting another node shows that node.
  useEffect(() => {
    if (selected !== undefined && selected !== useUi.getState().help?.type) openHelp(selected);
  }, [selected]);
  const found = useMemo(
    () => (text.trim() ? search([...catalogue.values()], { text, help }) : []),
    [catalogue, text, help],
  );
  const def = asked ? catalogue.get(asked.type) : undefined;
  return (
    <div className="panel-body">
      <label className="library-search help-search">
        <Icon name="search" />
        <input
          type="search"
          value={text}
          placeholder={t("help.search")}
          aria-label={t("help.search")}
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      {text.trim() ? (
        <>
          <p className="hint" role="status">
            {found.length ? t("help.found", { count: found.length }) : t("palette.none")}
          </p>
          <div className="help-found">
            {found.slice(0, MOST_FOUND).map((each) => (
              <button
                type="button"
                key={each.name}
                onClick={() => {
                  setText("");
                  openHelp(each.name);
                }}
              >
                <strong>{each.label ?? each.title}</strong>
                <small>{translated(each.description, help)}</small>
              </button>
            ))}
          </div>
        </>
      ) : def ? (
        <NodeHelp key={def.name} def={def} part={asked?.part} />
      ) : (
        <p className="hint">{t(asked ? "help.unknown" : "help.hint")}</p>
      )}
    </div>
  );
}

function NodeHelp({ def, part }: { def: NodeDef; part: string | undefined }) {
  const t = useT();
  const help = useWords((state) => state.help);
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const pointed = part === undefined ? null : box.current?.querySelector("[data-pointed]");
    if (pointed) pointed.scrollIntoView({ block: "center" });
    else box.current?.parentElement?.scrollTo({ top: 0 });
  }, [part]);
  const inputs = listed(def.inputs);
  return (
    <article className="help-node" ref={box} aria-label={def.label ?? def.title}>
      <h3>{def.label ?? def.title}</h3>
      <p className="help-class">
        {def.name} · {def.categoryLabel ?? def.category}
      </p>
      <p className="help-text">{translated(def.description, help)}</p>
      <div className="help-marks">
        {def.deprecated && <span>{t("help.deprecated")}</span>}
        {def.experimental && <span>{t("help.experimental")}</span>}
      </div>
      {def.papers && (
        <p className="help-links">
          {def.papers.map((number) => (
            <a key={number} href={`https://arxiv.org/abs/${number}`} target="_blank" rel="noopener noreferrer">
              {t("help.paper", { number: `arXiv:${number}` })}
            </a>
          ))}
        </p>
      )}
      <div className="help-actions">
        <button type="button" className="button small" onClick={() => addHere(def)}>
          <Icon name="add" />
          {t("help.add")}
        </button>
        <button
          type="button"
          className="button small"
          onClick={() => {
            uncoverCanvas();
            void openDemo(def.name);
          }}
        >
          <Icon name="workflow" />
          {t("help.demo")}
        </button>
      </div>
      {inputs.length > 0 && <h3>{t("help.inputs")}</h3>}
      <dl className="help-parts">
        {inputs.map((input) => (
          <PartHelp
            key={input.name}
            entry={input}
            notes={[input.type, factsOf(input), input.required ? "" : t("help.optional")]}
            pointed={part === input.name}
          />
        ))}
      </dl>
      {def.outputs.length > 0 && <h3>{t("help.outputs")}</h3>}
      <dl className="help-parts">
        {def.outputs.map((output, slot) => (
          <PartHelp key={slot} entry={output} notes={[output.type]} pointed={part === output.name} />
        ))}
      </dl>
      <Examples name={def.name} />
    </article>
  );
}

/** The inputs with those of every option of a choice, each name once. */
function listed(inputs: readonly InputDef[], group = ""): InputDef[] {
  const all = inputs.flatMap((input) => {
    const named = { ...input, name: group + input.name };
    const inner = (input.options ?? []).flatMap((option) => listed(option.inputs, `${named.name}.`));
    return [named, ...inner];
  });
  return [...new Map(all.map((input) => [input.name, input])).values()];
}

function PartHelp({ entry, notes, pointed }: { entry: InputDef | OutputDef; notes: string[]; pointed: boolean }) {
  const help = useWords((state) => state.help);
  return (
    <div className="help-part" data-pointed={pointed || undefined}>
      <dt>
        {entry.label ?? entry.name}
        {notes.filter(Boolean).map((note) => (
          <small key={note}>{note}</small>
        ))}
      </dt>
      {entry.tooltip && <dd>{translated(entry.tooltip, help)}</dd>}
    </div>
  );
}

function Examples({ name }: { name: string }) {
  const t = useT();
  const names = examplesOf(name);
  if (!names.length) return null;
  return (
    <>
      <h3>{t("help.examples")}</h3>
      <div className="examples">
        {names.map((example) => {
          const picture = examplePicture(example);
          return (
            <button
              type="button"
              key={example}
              className="example"
              onClick={() => {
                uncoverCanvas();
                void openExample(example);
              }}
            >
              {picture ? (
                <img className="example-picture" src={picture} alt="" width={256} height={160} loading="lazy" />
              ) : (
                <span className="example-picture empty">
                  <Icon name="workflow" />
                </span>
              )}
              <strong>{exampleTitle(example)}</strong>
            </button>
          );
        })}
      </div>
    </>
  );
}

function addHere(def: NodeDef): void {
  uncoverCanvas();
  const [x, y] = stage?.middle() ?? [0, 0];
  focusNode(putNode((id, at) => newNode(def, id, at), [x - 135, y - 60]));
}
