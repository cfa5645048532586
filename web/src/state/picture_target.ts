/** Where "Use as input" puts a picture. The open view, canvas or app, decides. */

export interface PictureTarget {
  id: string;
  key: string;
  path?: readonly string[];
}

let find: (() => PictureTarget | null) | null = null;

/** null: the view is closed. */
export function takePicturesWith(next: (() => PictureTarget | null) | null): void {
  find = next;
}

export const pictureTarget = (): PictureTarget | null => find?.() ?? null;
