/** Workflows that the server converts from other programs' files. */

import type { Doc } from "../document/document";
import { addNode, nextNodeId } from "../document/edits";
import { newNote } from "../document/new_nodes";
import { fromApi } from "../format/from_api";
import { readWorkflow } from "../format/read";
import { t } from "../i18n";
import { Refused, server } from "../server/client";
import { useEditor } from "./editor";

const NOTE_SIZE: [number, number] = [340, 300];
const BESIDE = 60;

/** The workflow in the file, with a note on what is not converted. null: the server reads no workflow in it. */
export async function convertedDoc(file: Blob): Promise<Doc | null> {
  try {
    const { prompt, workflow, notes } = await server.convert(file);
    const { catalogue } = useEditor.getState();
    return withNote(workflow ? readWorkflow(workflow, catalogue) : fromApi(prompt, catalogue), notes);
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

/** The workflow with a note to its left that lists `notes`. */
function withNote(doc: Doc, notes: readonly string[]): Doc {
  if (!notes.length) return doc;
  const text = [t("file.notConverted"), ...notes.map((note) => `• ${note}`)].join("\n\n");
  const note = newNote("Note", nextNodeId(doc), [BESIDE - NOTE_SIZE[0] - BESIDE, BESIDE]);
  return addNode(doc, { ...note, size: NOTE_SIZE, widgets_values: [text] }) as Doc;
}
