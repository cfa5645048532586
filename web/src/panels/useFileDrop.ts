/** Files dropped or pasted anywhere. */

import { useEffect } from "react";
import { stage } from "../canvas/stage";
import { addNode, newNode, nextNodeId } from "../graph/edits";
import { current, edit, levelOf, pasteText, select, useEditor } from "../state/editor";
import { openFile, uploadTo } from "../state/files";

export function useFileDrop(): void {
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      if (event.defaultPrevented || !event.dataTransfer?.files.length) return;
      event.preventDefault();
      for (const file of event.dataTransfer.files) void openFile(file);
    };
    const paste = (event: ClipboardEvent) => {
      const { target, clipboardData } = event;
      if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return;
      const picture = [...(clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/"));
      if (picture) return void pastePicture(picture);
      const text = clipboardData?.getData("text/plain") ?? "";
      if (stage && pasteText(text, { at: stage.pointer ?? stage.middle() })) event.preventDefault();
    };
    window.addEventListener("dragover", over);
    window.addEventListener("drop", drop);
    window.addEventListener("paste", paste);
    return () => {
      window.removeEventListener("dragover", over);
      window.removeEventListener("drop", drop);
      window.removeEventListener("paste", paste);
    };
  }, []);
}

/** Into the selected node that loads pictures, else into a new one. */
async function pastePicture(file: File): Promise<void> {
  const { catalogue } = useEditor.getState();
  const chosen = levelOf(current()).nodes.find((node) => current().selection.has(String(node.id)) && loads(node.type));
  if (chosen) return uploadTo(String(chosen.id), loads(chosen.type) as string, file);
  const def = catalogue.get("LoadImage");
  if (!def || !stage) return;
  const id = nextNodeId(levelOf(current()));
  const [x, y] = stage.middle();
  edit((level) => addNode(level, newNode(def, id, [Math.round(x) - 135, Math.round(y) - 100])));
  select([String(id)]);
  await uploadTo(String(id), "image", file);
}

const loads = (type: string): string | undefined =>
  useEditor.getState().catalogue.get(type)?.inputs.find((input) => input.widget === "image")?.name;
