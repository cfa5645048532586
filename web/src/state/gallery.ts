/** The list of pictures, newest first, loaded as far as the user has scrolled. */

import { create } from "zustand";
import { type FileRef, fileKey, gridsFirst, type JobLine, server } from "../server/client";
import { setFavourite } from "./favourites";

const PAGE = 60;
const ENDED: JobLine["status"][] = ["completed", "failed", "cancelled"];

/** A picture, and the prompt that made it if known. */
export interface Picture extends FileRef {
  promptId?: string;
  /** The text that its node returned with it, if known. */
  said?: string;
}

interface Gallery {
  jobs: readonly JobLine[];
  pictures: readonly Picture[];
  /** Whether the oldest picture is loaded. */
  complete: boolean;
  /** Whether the server has been asked. */
  asked: boolean;
  search: Search;
}

export interface Search {
  /** Words of the prompt, the model's name or the file's name. */
  words: string;
  /** Milliseconds since the epoch; null: any time. */
  since: number | null;
}

const EVERYTHING: Search = { words: "", since: null };

export const useGallery = create<Gallery>(() => ({
  jobs: [],
  pictures: [],
  complete: false,
  asked: false,
  search: EVERYTHING,
}));

function take(jobs: readonly JobLine[], complete: boolean): void {
  const seen = new Set<string>();
  const pictures = jobs.flatMap(({ id, files }) =>
    gridsFirst(files).flatMap((file): Picture[] => {
      const key = fileKey(file);
      if (!IMAGE.test(file.filename) || seen.has(key)) return []; // a cached node lists its file again
      seen.add(key);
      const { filename, subfolder, type, grid } = file;
      return [{ filename, subfolder, type, promptId: id, ...(grid ? { grid } : {}) }];
    }),
  );
  useGallery.setState({ jobs, pictures, complete, asked: true });
}

const IMAGE = /\.(png|jpe?g|webp|gif|avif|bmp)$/i;

let busy: Promise<void> = Promise.resolve();

/** Requests run one after another: two answers would overwrite each other. */
const inTurn = (work: () => Promise<void>): Promise<void> => (busy = busy.then(work, work));

/** A page of the jobs that the search finds, without files that no longer exist. */
function page(offset: number) {
  const { words, since } = useGallery.getState().search;
  const wanted = { ...(words ? { search: words } : {}), ...(since === null ? {} : { since: String(since) }) };
  return server.jobs(ENDED, PAGE, offset, { existing: "true", ...wanted });
}

/** Show what a search finds. */
export function search(wanted: Search): Promise<void> {
  const { words, since } = useGallery.getState().search;
  if (words === wanted.words && since === wanted.since) return Promise.resolve();
  return inTurn(async () => {
    useGallery.setState({ search: wanted });
    const { jobs, pagination } = await page(0);
    take(jobs, !pagination.has_more);
  });
}

/** Add new pictures at the front. */
export const refresh = (): Promise<void> =>
  inTurn(async () => {
    const { jobs: known, complete } = useGallery.getState();
    const ids = new Set(known.map((job) => job.id));
    const fresh: JobLine[] = [];
    for (;;) {
      const { jobs, pagination } = await page(fresh.length);
      fresh.push(...jobs);
      if (!known.length || !pagination.has_more || jobs.some((job) => ids.has(job.id))) {
        const newer = new Set(fresh.map((job) => job.id));
        return take([...fresh, ...known.filter((job) => !newer.has(job.id))], complete || !pagination.has_more);
      }
    }
  });

export const more = (): Promise<void> =>
  inTurn(async () => {
    const { jobs: known, complete } = useGallery.getState();
    if (complete) return;
    const { jobs, pagination } = await page(known.length);
    const ids = new Set(known.map((job) => job.id));
    take([...known, ...jobs.filter((job) => !ids.has(job.id))], !pagination.has_more);
  });

/** Remove the runs that made or showed a picture from the history. The files stay on disk. */
export const forget = (picture: Picture): Promise<void> =>
  inTurn(async () => {
    const { jobs, complete } = useGallery.getState();
    const key = fileKey(picture);
    const gone = new Set(
      jobs
        .filter((job) => job.id === picture.promptId || job.files.some((file) => fileKey(file) === key))
        .map((job) => job.id),
    );
    await server.forget([...gone]);
    take(
      jobs.filter((job) => !gone.has(job.id)),
      complete,
    );
  });

/** Delete the files of pictures on the server. The runs stay in the history. */
export const deleteFiles = (pictures: readonly Picture[]): Promise<void> =>
  inTurn(async () => {
    await server.deleteFiles(
      pictures.flatMap(({ filename, subfolder, type, promptId }) =>
        promptId ? [{ filename, subfolder, type, prompt_id: promptId }] : [],
      ),
    );
    const gone = new Set(pictures.map(fileKey));
    const { jobs, complete } = useGallery.getState();
    take(
      jobs.map((job) => ({ ...job, files: job.files.filter((file) => !gone.has(fileKey(file))) })),
      complete,
    );
    await setFavourite(pictures, false);
  });
