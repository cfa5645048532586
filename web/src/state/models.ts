/** The model files in the server's folders, and their loaders on the canvas. */

import { create } from "zustand";
import { nodesById } from "../document/document";
import { mapNode } from "../document/edits";
import { fieldFor, loaderOf } from "../document/loaders";
import { newNode } from "../document/new_nodes";
import { setWidget } from "../document/widget_views";
import { type ModelFile, server } from "../server/client";
import { putNode, writeWidget } from "./commands";
import { current, edit, editContext, levelOf, settleStep, useEditor } from "./editor";

export interface PlacedModel extends ModelFile {
  folder: string;
}

export const useModels = create<{ files: ReadonlyMap<string, readonly PlacedModel[]>; asking: boolean }>(() => ({
  files: new Map(),
  asking: false,
}));

/** Ask for the files of every folder. They appear folder by folder: the first look at a large file takes a moment. */
export async function lookForModels(): Promise<void> {
  useModels.setState({ asking: true });
  try {
    const folders = await server.modelFolders();
    await Promise.all(
      folders.map(async (folder) => {
        const found = (await server.modelFiles(folder)).map((file) => ({ ...file, folder }));
        useModels.setState(({ files }) => ({ files: new Map([...files, [folder, found]]) }));
      }),
    );
  } finally {
    useModels.setState({ asking: false });
  }
}

/** Add the node that loads a file, with the file chosen, as one undo step. null: no node loads such files. */
export function addLoader(folder: string, name: string, at: readonly [number, number]): string | null {
  const loader = loaderOf(useEditor.getState().catalogue, folder);
  if (!loader) return null;
  settleStep();
  const step = `load ${folder}/${name}`;
  const id = putNode((number, spot) => newNode(loader.def, number, spot), at, step);
  edit((level) => mapNode(level, id, (node) => setWidget(node, loader.field, name, editContext())), step);
  settleStep();
  return id;
}

/** Choose a file in the field of a node that lists its folder. False: the node has no such field. */
export function chooseOn(node: string, folder: string, name: string): boolean {
  const found = nodesById(levelOf(current())).get(node);
  const field = found && fieldFor(useEditor.getState().catalogue.get(found.type), folder);
  if (field === undefined) return false;
  writeWidget(node, field, name);
  settleStep();
  return true;
}
