/** The colours of a picture under its mask, faint: a painted mask is the picture's transparency. */

/** `thumbnail`: the address of the picture's thumbnail. */
export const UnderMask = ({ thumbnail }: { thumbnail: string }) => (
  <span className="under-mask" style={{ backgroundImage: `url("${thumbnail}&channel=rgb")` }} />
);
