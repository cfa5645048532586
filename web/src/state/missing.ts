/** Looks for what an opened workflow lacks, and puts other files in place of missing ones. */

import { create } from "zustand";
import { type Missing, type MissingFile, missingIn, nothingMissing, withFiles } from "../document/missing";
import { annotated, server } from "../server/client";
import { current, editContext, editDocument, useEditor } from "./editor";
import { refreshCatalogue } from "./files";
import { notify } from "./notices";
import { show } from "./ui";

/** Pictures that are not listed but exist, for example in subfolders of the input folder; by `folder/name`. */
export const useFound = create<{ found: ReadonlySet<string> }>(() => ({ found: new Set() }));

const keyOf = ({ picture, name }: MissingFile): string => `${picture}/${name}`;

/** The names of the textual inversions on the server; null: not asked yet. */
export const useEmbeddings = create<{ names: readonly string[] | null }>(() => ({ names: null }));

export async function askForEmbeddings(): Promise<void> {
  useEmbeddings.setState({ names: await server.embeddings() });
}

/** Without the pictures that the server has. */
export const confirmedMissing = (missing: Missing, found: ReadonlySet<string>): Missing => ({
  ...missing,
  pictures: missing.pictures.filter((file) => !found.has(keyOf(file))),
});

/** Ask the server for pictures that are not in its list. */
export async function askForPictures(pictures: readonly MissingFile[]): Promise<void> {
  const there = await Promise.all(
    pictures.map(async (file) => ((await server.has(annotated(file.name, file.picture))) ? keyOf(file) : null)),
  );
  const fresh = there.filter((key) => key !== null);
  if (fresh.length) useFound.setState(({ found }) => ({ found: new Set([...found, ...fresh]) }));
}

/** Open the panel if the workflow that was just opened lacks something. */
export async function showMissing(): Promise<void> {
  if (!useEditor.getState().catalogue.size) return;
  const { id } = current();
  await askForEmbeddings().catch(() => undefined); // unreachable: the connection banner says so
  if (current().id !== id) return;
  const missing = missingIn(editContext(), useEmbeddings.getState().names);
  await askForPictures(missing.pictures).catch(() => undefined);
  if (current().id !== id) return;
  if (!nothingMissing(confirmedMissing(missing, useFound.getState().found))) show({ panel: "missing" });
}

/** Use other files instead of missing ones, everywhere in the workflow, as one undo step. */
export function replaceFiles(instead: readonly { file: MissingFile; name: string }[]): void {
  const { catalogue } = useEditor.getState();
  if (instead.length) editDocument((doc) => withFiles({ doc, catalogue }, instead));
}

/** Upload a picture and use it instead of a missing one. */
export async function uploadInstead(file: MissingFile, picture: File): Promise<void> {
  const tab = current().id;
  try {
    const { name, subfolder } = await server.upload(picture, picture.name);
    await refreshCatalogue();
    if (current().id === tab) replaceFiles([{ file, name: subfolder ? `${subfolder}/${name}` : name }]);
  } catch (error) {
    notify("error", "run.refused", error instanceof Error ? error.message : undefined, { tab });
  }
}
