/** Everything that was made, newest first, as far as one has scrolled. */

import { create } from "zustand";
import { type FileRef, fileKey, type JobLine, server } from "../server/client";

const PAGE = 60;
const ENDED: JobLine["status"][] = ["completed", "failed", "cancelled"];

/** A picture, and the prompt that made it where that is known. */
export interface Picture extends FileRef {
  promptId?: string;
}

interface Gallery {
  jobs: readonly JobLine[];
  pictures: readonly Picture[];
  /** The oldest is there. */
  complete: boolean;
  /** Whether the server has been asked at all. */
  asked: boolean;
}

export const useGallery = create<Gallery>(() => ({ jobs: [], pictures: [], complete: false, asked: false }));

function take(jobs: readonly JobLine[], complete: boolean): void {
  const seen = new Set<string>();
  const pictures = jobs.flatMap(({ id, files }) =>
    files.flatMap((file): Picture[] => {
      const key = fileKey(file);
      if (!IMAGE.test(file.filename) || seen.has(key)) return []; // a cached node names its file again
      seen.add(key);
      return [{ filename: file.filename, subfolder: file.subfolder, type: file.type, promptId: id }];
    }),
  );
  useGallery.setState({ jobs, pictures, complete, asked: true });
}

const IMAGE = /\.(png|jpe?g|webp|gif|avif|bmp)$/i;

let busy: Promise<void> = Promise.resolve();

/** One after another: two answers on their way would overwrite each other. */
const inTurn = (work: () => Promise<void>): Promise<void> => (busy = busy.then(work, work));

/** What is new goes to the front. */
export const refresh = (): Promise<void> =>
  inTurn(async () => {
    const { jobs: known, complete } = useGallery.getState();
    const ids = new Set(known.map((job) => job.id));
    const fresh: JobLine[] = [];
    for (;;) {
      const { jobs, pagination } = await server.jobs(ENDED, PAGE, fresh.length);
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
    const { jobs, pagination } = await server.jobs(ENDED, PAGE, known.length);
    const ids = new Set(known.map((job) => job.id));
    take([...known, ...jobs.filter((job) => !ids.has(job.id))], !pagination.has_more);
  });

/** Forget the run that made a picture, and those that showed it again. The files stay on the disk. */
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
