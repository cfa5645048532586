/** The user's favourite pictures, stored on the server with the settings, newest first. */

import { create } from "zustand";
import { type FileRef, fileKey, server } from "../server/client";

/** A picture, and the prompt that made it if known. */
type Starred = FileRef & { promptId?: string };

const NAME = "Sumi.favourites";

export const useFavourites = create<{ pictures: readonly Starred[] }>(() => ({ pictures: [] }));

export const isFavourite = (pictures: readonly Starred[], picture: Starred): boolean =>
  pictures.some((entry) => fileKey(entry) === fileKey(picture));

export async function recallFavourites(): Promise<void> {
  show((await server.settings())[NAME]);
}

const show = (found: unknown): void =>
  useFavourites.setState({
    pictures: Array.isArray(found) ? found.filter((entry) => typeof entry?.filename === "string") : [],
  });

/** Add pictures to the favourites, or remove them. Another window's favourites stay. */
export async function setFavourite(pictures: readonly Starred[], on: boolean): Promise<void> {
  const named = pictures.map(({ filename, subfolder, type, promptId }) => ({ filename, subfolder, type, promptId }));
  show(await server.markFavourites(named, on));
}
