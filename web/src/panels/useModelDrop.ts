/** Handles model files that are dragged from the panel onto the canvas: onto a node that takes them, or beside. */

import { useEffect } from "react";
import { nodeAt } from "../canvas/hits";
import { stage } from "../canvas/stage";
import { current, editContext, levelOf } from "../state/editor";
import { addLoader, chooseOn } from "../state/models";
import { focusNode } from "./walking";

export const MODEL_DRAG = "application/x-sumi-model";

export function useModelDrop(): void {
  useEffect(() => {
    const onCanvas = (event: DragEvent) => (event.target as Element).closest?.(".canvas") !== null;
    const over = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes(MODEL_DRAG) && onCanvas(event)) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      const data = event.dataTransfer?.getData(MODEL_DRAG);
      if (!data || !stage || !onCanvas(event)) return;
      event.preventDefault();
      const { folder, name } = JSON.parse(data) as { folder: string; name: string };
      const [x, y] = stage.toCanvas(event.clientX, event.clientY);
      const under = nodeAt(levelOf(current()), editContext(), { x, y });
      if (under !== null && chooseOn(under, folder, name)) return focusNode(under);
      const id = addLoader(folder, name, [x - 135, y]);
      if (id !== null) focusNode(id);
    };
    window.addEventListener("dragover", over);
    window.addEventListener("drop", drop);
    return () => {
      window.removeEventListener("dragover", over);
      window.removeEventListener("drop", drop);
    };
  }, []);
}
